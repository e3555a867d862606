//! The settings of a sampler, read from a diffusers `scheduler_config.json` or given by name.
//!
//! Keys that a class does not have are ignored in files, as diffusers ignores them; values that
//! it does not have are errors. Nothing here computes a schedule.

use std::path::Path;

use serde_json::{Map, Value};

use super::class::{NOT_SUPPORTED, SamplerClass};
use super::json::{
    betas, between, boolean, choice, integer, number, shown, with_quoted_non_finite,
};
use crate::{Error, Result};

/// What the model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise `ε`.
    Epsilon,
    /// The clean sample `x₀`.
    Sample,
    /// The velocity `v = √ᾱ ε − √(1 − ᾱ) x₀` (Salimans and Ho 2022, arXiv:2202.00512).
    Velocity,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BetaSchedule {
    Linear,
    ScaledLinear,
    SquaredCos,
    Exp,
    Sigmoid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spacing {
    Linspace,
    Leading,
    Trailing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variance {
    FixedSmall,
    FixedSmallLog,
    FixedLarge,
    Learned,
    LearnedRange,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Algorithm {
    Dpm,
    DpmPlusPlus,
    SdeDpm,
    SdeDpmPlusPlus,
}

/// The settings of a sampler: its class and that class's `scheduler_config.json` keys.
#[derive(Clone, Debug)]
pub struct SamplerConfig {
    pub(super) class: SamplerClass,
    /// The JSON behind the settings, to read again as another class or with overrides.
    json: Map<String, Value>,
    pub(super) num_train_timesteps: usize,
    pub(super) beta_start: f64,
    pub(super) beta_end: f64,
    pub(super) beta_schedule: BetaSchedule,
    pub(super) trained_betas: Option<Vec<f64>>,
    pub(super) rescale_betas_zero_snr: bool,
    pub(super) prediction: Prediction,
    pub(super) spacing: Spacing,
    pub(super) steps_offset: usize,
    pub(super) clip_sample: bool,
    pub(super) clip_sample_range: f32,
    pub(super) thresholding: bool,
    pub(super) dynamic_thresholding_ratio: f32,
    pub(super) sample_max_value: f32,
    pub(super) set_alpha_to_one: bool,
    pub(super) variance: Option<Variance>,
    pub(super) skip_prk_steps: bool,
    pub(super) use_karras_sigmas: bool,
    pub(super) use_lu_lambdas: bool,
    pub(super) continuous: bool,
    pub(super) sigma_min: Option<f64>,
    pub(super) sigma_max: Option<f64>,
    pub(super) ends_at_sigma_min: bool,
    pub(super) solver_order: usize,
    pub(super) algorithm: Algorithm,
    pub(super) heun: bool,
    pub(super) lower_order_final: bool,
    pub(super) euler_at_final: bool,
    pub(super) lambda_min_clipped: f64,
    pub(super) shift: f64,
    pub(super) use_dynamic_shifting: bool,
}

impl SamplerConfig {
    /// The class called `name` with the default settings of diffusers. The name may leave out
    /// `Scheduler` at its end: `EulerAncestralDiscrete`.
    ///
    /// # Errors
    /// [`Error::Request`] for an unknown name, with those that there are.
    pub fn named(name: &str) -> Result<Self> {
        let class = SamplerClass::from_name(name).ok_or_else(|| unknown_sampler(name))?;
        Self::read(class, Map::new()).map_err(|what| in_request(class, &what))
    }

    /// Reads a `scheduler_config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and as [`SamplerConfig::from_json`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let json = serde_json::from_str(&with_quoted_non_finite(&text))
            .map_err(|e| Error::file(path, format!("not valid JSON: {e}")))?;
        Self::from_json(&json, path)
    }

    /// Reads the content of a `scheduler_config.json`; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`] if `_class_name` is unknown, or with all keys whose values are not
    /// supported and what is allowed for them.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let class = json.get("_class_name").and_then(Value::as_str);
        let (Some(name), Some(json)) = (class, json.as_object()) else {
            return Err(Error::file(
                path,
                "not a scheduler configuration: expected an object with a _class_name",
            ));
        };
        let class = SamplerClass::ALL.into_iter().find(|c| c.name() == name);
        let class = class.ok_or_else(|| {
            Error::file(
                path,
                format!(
                    "scheduler class {} is not supported; supported: {}",
                    shown(&Value::from(name)),
                    SamplerClass::ALL.map(SamplerClass::name).join(", ")
                ),
            )
        })?;
        Self::read(class, json.clone()).map_err(|what| Error::file(path, what))
    }

    /// The same settings under another class, as diffusers' `from_config`: keys that both
    /// classes have stay, the others take the new class's defaults.
    ///
    /// # Errors
    /// [`Error::Request`] for an unknown name, or if the new class does not support a value.
    pub fn with_class(&self, name: &str) -> Result<Self> {
        let class = SamplerClass::from_name(name).ok_or_else(|| unknown_sampler(name))?;
        let config =
            Self::read(class, self.json.clone()).map_err(|what| in_request(class, &what))?;
        if self.rescale_betas_zero_snr && !config.rescale_betas_zero_snr {
            tracing::warn!(
                "{} has no zero-SNR schedule, but the model was trained with one",
                class.name()
            );
        }
        Ok(config)
    }

    /// The same settings with some keys replaced.
    ///
    /// # Errors
    /// [`Error::Request`] with all keys that the class does not have, or whose values are not
    /// supported.
    pub fn with_overrides(&self, overrides: &Map<String, Value>) -> Result<Self> {
        let keys = self.class.keys();
        let unknown: Vec<&str> = overrides
            .keys()
            .map(String::as_str)
            .filter(|key| !keys.contains(key))
            .collect();
        if !unknown.is_empty() {
            let what = format!("no key {}; keys: {}", unknown.join(", "), keys.join(", "));
            return Err(in_request(self.class, &what));
        }
        let mut json = self.json.clone();
        json.extend(overrides.clone());
        Self::read(self.class, json).map_err(|what| in_request(self.class, &what))
    }

    /// The class.
    pub fn class(&self) -> SamplerClass {
        self.class
    }

    /// The name of the class, as diffusers has it.
    pub fn class_name(&self) -> &'static str {
        self.class.name()
    }

    /// How many noise levels the model was trained with.
    pub fn num_train_timesteps(&self) -> usize {
        self.num_train_timesteps
    }

    /// What the model predicts; `None` for a rectified flow, which has its own velocity.
    pub fn prediction(&self) -> Option<Prediction> {
        (self.class != SamplerClass::FlowMatchEuler).then_some(self.prediction)
    }

    /// Whether the model's output has twice the channels of the sample, for the variance. The
    /// DPM-Solvers drop that half; the reference keeps the first 3 channels there, which is the
    /// same for RGB images only.
    pub fn learns_variance(&self) -> bool {
        matches!(
            self.variance,
            Some(Variance::Learned | Variance::LearnedRange)
        )
    }

    /// Settings from JSON over the class's defaults; the error lists all problems.
    fn read(class: SamplerClass, json: Map<String, Value>) -> Result<Self, String> {
        let mut config = Self::defaults(class);
        let mut problems = Vec::new();
        for key in class.keys() {
            if let Some(value) = json.get(key).filter(|value| !value.is_null())
                && let Err(problem) = config.set(key, value)
            {
                problems.push(format!("{key} is {}; {problem}", shown(value)));
            }
        }
        for (key, harmless) in NOT_SUPPORTED {
            if let Some(value) = json.get(key).filter(|value| !value.is_null())
                && !harmless.contains(&value.to_string().as_str())
            {
                problems.push(format!("{key} is {}; not supported", shown(value)));
            }
        }
        if problems.is_empty() {
            problems.extend(config.contradiction());
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        config.json = json;
        Ok(config)
    }

    /// The defaults of the class's constructor in diffusers 0.30.2.
    fn defaults(class: SamplerClass) -> Self {
        use SamplerClass::*;
        let (beta_start, beta_end) = match class {
            Heun | Kdpm2Ancestral => (0.00085, 0.012),
            _ => (0.0001, 0.02),
        };
        Self {
            class,
            json: Map::new(),
            num_train_timesteps: 1000,
            beta_start,
            beta_end,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            rescale_betas_zero_snr: false,
            prediction: Prediction::Epsilon,
            spacing: match class {
                Ddim | Ddpm | Pndm => Spacing::Leading,
                _ => Spacing::Linspace,
            },
            steps_offset: 0,
            clip_sample: matches!(class, Ddim | Ddpm),
            clip_sample_range: 1.0,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            set_alpha_to_one: class == Ddim,
            variance: (class == Ddpm).then_some(Variance::FixedSmall),
            skip_prk_steps: false,
            use_karras_sigmas: false,
            use_lu_lambdas: false,
            continuous: false,
            sigma_min: None,
            sigma_max: None,
            ends_at_sigma_min: false,
            solver_order: 2,
            algorithm: Algorithm::DpmPlusPlus,
            heun: false,
            lower_order_final: class != DpmSinglestep,
            euler_at_final: false,
            lambda_min_clipped: f64::NEG_INFINITY,
            shift: 1.0,
            use_dynamic_shifting: false,
        }
    }

    /// Sets one key; the error says what is allowed.
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        use SamplerClass::*;
        match key {
            "num_train_timesteps" => self.num_train_timesteps = integer(value, 1, 100_000)?,
            "beta_start" => self.beta_start = between(value, 0.0, 1.0)?,
            "beta_end" => self.beta_end = between(value, 0.0, 1.0)?,
            "beta_schedule" => {
                let all = [
                    ("linear", BetaSchedule::Linear),
                    ("scaled_linear", BetaSchedule::ScaledLinear),
                    ("squaredcos_cap_v2", BetaSchedule::SquaredCos),
                ];
                let more: &[_] = match self.class {
                    Heun => &[("exp", BetaSchedule::Exp)],
                    Ddpm => &[("sigmoid", BetaSchedule::Sigmoid)],
                    _ => &[],
                };
                self.beta_schedule = choice(value, &[&all, more].concat())?;
            }
            "trained_betas" => self.trained_betas = Some(betas(value)?),
            "rescale_betas_zero_snr" => self.rescale_betas_zero_snr = boolean(value)?,
            "prediction_type" => {
                let all = [
                    ("epsilon", Prediction::Epsilon),
                    ("v_prediction", Prediction::Velocity),
                    ("sample", Prediction::Sample),
                ];
                let without_sample = matches!(self.class, Pndm | EulerAncestral | Kdpm2Ancestral);
                self.prediction = choice(value, &all[..if without_sample { 2 } else { 3 }])?;
            }
            "timestep_spacing" => {
                let all = [
                    ("linspace", Spacing::Linspace),
                    ("leading", Spacing::Leading),
                    ("trailing", Spacing::Trailing),
                ];
                self.spacing = choice(value, &all)?;
            }
            "steps_offset" => self.steps_offset = integer(value, 0, 100_000)?,
            "clip_sample" => self.clip_sample = boolean(value)?,
            "clip_sample_range" => self.clip_sample_range = between(value, 0.0, 1e6)? as f32,
            "thresholding" => self.thresholding = boolean(value)?,
            "dynamic_thresholding_ratio" => {
                self.dynamic_thresholding_ratio = between(value, 0.0, 1.0)? as f32;
            }
            "sample_max_value" => self.sample_max_value = between(value, 0.0, 1e6)? as f32,
            "set_alpha_to_one" => self.set_alpha_to_one = boolean(value)?,
            "variance_type" => self.variance = Some(choice(value, self.variances())?),
            "skip_prk_steps" => self.skip_prk_steps = boolean(value)?,
            "use_karras_sigmas" => self.use_karras_sigmas = boolean(value)?,
            "use_lu_lambdas" => self.use_lu_lambdas = boolean(value)?,
            "interpolation_type" => choice(value, &[("linear", ())])?,
            "timestep_type" => {
                self.continuous = choice(value, &[("discrete", false), ("continuous", true)])?;
            }
            "sigma_min" => self.sigma_min = Some(between(value, 0.0, 1e6)?),
            "sigma_max" => self.sigma_max = Some(between(value, 0.0, 1e6)?),
            "final_sigmas_type" => {
                self.ends_at_sigma_min = choice(value, &[("zero", false), ("sigma_min", true)])?;
            }
            "solver_order" => self.solver_order = integer(value, 1, 3)?,
            "algorithm_type" => self.algorithm = choice(value, self.algorithms())?,
            // Every class understands the names of the others and takes its own nearest one.
            "solver_type" => {
                let all = [
                    ("midpoint", false),
                    ("heun", true),
                    ("logrho", false),
                    ("bh1", false),
                    ("bh2", false),
                ];
                self.heun = choice(value, &all)?;
            }
            "lower_order_final" => self.lower_order_final = boolean(value)?,
            "euler_at_final" => self.euler_at_final = boolean(value)?,
            "lambda_min_clipped" => {
                self.lambda_min_clipped = number(value)
                    .filter(|v| *v < 100.0)
                    .ok_or("must be a number below 100, or -Infinity")?;
            }
            "shift" => self.shift = between(value, 0.0, 1e6)?,
            "use_dynamic_shifting" => self.use_dynamic_shifting = boolean(value)?,
            _ => unreachable!("every key of SamplerClass::keys has its arm"),
        }
        Ok(())
    }

    fn variances(&self) -> &'static [(&'static str, Variance)] {
        match self.class {
            SamplerClass::Ddpm => &[
                ("fixed_small", Variance::FixedSmall),
                ("fixed_small_log", Variance::FixedSmallLog),
                ("fixed_large", Variance::FixedLarge),
                ("learned_range", Variance::LearnedRange),
            ],
            _ => &[
                ("learned", Variance::Learned),
                ("learned_range", Variance::LearnedRange),
            ],
        }
    }

    fn algorithms(&self) -> &'static [(&'static str, Algorithm)] {
        match self.class {
            SamplerClass::DpmMultistep => &[
                ("dpmsolver++", Algorithm::DpmPlusPlus),
                ("sde-dpmsolver++", Algorithm::SdeDpmPlusPlus),
                ("dpmsolver", Algorithm::Dpm),
                ("sde-dpmsolver", Algorithm::SdeDpm),
                ("deis", Algorithm::DpmPlusPlus),
            ],
            SamplerClass::DpmSinglestep => &[
                ("dpmsolver++", Algorithm::DpmPlusPlus),
                ("sde-dpmsolver++", Algorithm::SdeDpmPlusPlus),
                ("dpmsolver", Algorithm::Dpm),
                ("deis", Algorithm::DpmPlusPlus),
            ],
            _ => &[
                ("deis", Algorithm::Dpm),
                ("dpmsolver", Algorithm::Dpm),
                ("dpmsolver++", Algorithm::Dpm),
            ],
        }
    }

    /// Settings that are allowed one by one but not together.
    fn contradiction(&self) -> Option<String> {
        let dpm = matches!(
            self.class,
            SamplerClass::DpmMultistep | SamplerClass::DpmSinglestep
        );
        let predicts_noise = matches!(self.algorithm, Algorithm::Dpm | Algorithm::SdeDpm);
        if dpm && predicts_noise && !self.ends_at_sigma_min {
            return Some(
                "algorithm_type dpmsolver and sde-dpmsolver need final_sigmas_type sigma_min, \
                 not zero"
                    .into(),
            );
        }
        let stochastic = matches!(
            self.algorithm,
            Algorithm::SdeDpm | Algorithm::SdeDpmPlusPlus
        );
        if dpm && stochastic && self.solver_order == 3 {
            return Some(
                "solver_order is 3; allowed with algorithm_type sde-dpmsolver and \
                 sde-dpmsolver++: 1, 2"
                    .into(),
            );
        }
        if let Some(betas) = &self.trained_betas
            && betas.len() != self.num_train_timesteps
        {
            return Some(format!(
                "trained_betas has {} values; num_train_timesteps is {}",
                betas.len(),
                self.num_train_timesteps
            ));
        }
        if let (Some(min), Some(max)) = (self.sigma_min, self.sigma_max)
            && min >= max
        {
            return Some(format!("sigma_min is {min}; must be below sigma_max {max}"));
        }
        None
    }
}

fn unknown_sampler(name: &str) -> Error {
    let names = SamplerClass::ALL.map(|class| class.name().trim_end_matches("Scheduler"));
    Error::request(format!(
        "no sampler is called {}; samplers: {}",
        shown(&Value::from(name)),
        names.join(", ")
    ))
}

fn in_request(class: SamplerClass, what: &str) -> Error {
    Error::request(format!("{}: {what}", class.name()))
}
