//! Samplers: from noise to a clean sample with the predictions of a model.
//!
//! [`SamplerConfig`] names one of the scheduler classes of diffusers 0.30.2 and its settings,
//! [`sampler`] lays out its timesteps, and [`Sampler`] walks them. [`Generator`] makes the noise.
//!
//! ```
//! use ascendit::samplers::{Generator, SamplerConfig, SamplerOptions, sampler};
//!
//! let config = SamplerConfig::named("EulerAncestralDiscrete")?;
//! let mut sampler = sampler(&config, 20, &SamplerOptions::default())?;
//! let mut generator = Generator::new(42);
//!
//! let mut sample = generator.randn(16);
//! sample.iter_mut().for_each(|x| *x *= sampler.init_noise_sigma());
//! for i in 0..sampler.timesteps().len() {
//!     let input = sampler.scale_model_input(&sample, i);
//!     let predicted_noise: Vec<f32> = input.iter().map(|x| 0.9 * x).collect();
//!     let step = sampler.step(i, &predicted_noise, &sample, &mut |n| generator.randn(n))?;
//!     sample = step.prev_sample;
//! }
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! Samples are row-major `f32` slices whose first axis is the batch; no sampler looks at the
//! other axes, so images and videos are alike. Guidance, latents and the model are the
//! pipeline's matter.

mod class;
mod config;
mod ddim;
mod ddpm;
mod deis;
mod dpm_multistep;
mod dpm_singlestep;
mod euler;
mod flow_match;
mod heun;
mod json;
mod kdpm2;
mod level;
mod pndm;
mod prediction;
mod rng;
mod schedule;

pub use class::SamplerClass;
pub use config::{Prediction, SamplerConfig};
pub use rng::Generator;

use crate::{Error, Result};

/// What a caller may choose per generation, beside the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Items in the sample: the size of its first axis. Dynamic thresholding and learned
    /// variances work item by item.
    pub batch: usize,
    /// Noise levels to use in place of the configured spacing. `EulerDiscreteScheduler`: one
    /// more than steps, the last one may be 0. `FlowMatchEulerDiscreteScheduler`: one per step,
    /// in `(0, 1]`, shifted afterwards as configured.
    pub sigmas: Option<Vec<f64>>,
    /// The shift `μ` of a flow with `use_dynamic_shifting`.
    pub mu: Option<f64>,
    /// `η` of DDIM: 0 is deterministic, 1 adds as much noise as DDPM.
    pub eta: f32,
    /// DDIM: derive the noise again from the clipped prediction.
    pub use_clipped_model_output: bool,
    /// Churn of `EulerDiscreteScheduler` (Karras et al. 2022, Algorithm 2).
    pub churn: Churn,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            batch: 1,
            sigmas: None,
            mu: None,
            eta: 0.0,
            use_clipped_model_output: false,
            churn: Churn::default(),
        }
    }
}

/// How much noise `EulerDiscreteScheduler` adds before its steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// `S_churn`: the total; 0 adds none.
    pub amount: f32,
    /// `S_tmin`: no churn at noise levels below.
    pub sigma_min: f32,
    /// `S_tmax`: no churn at noise levels above.
    pub sigma_max: f32,
    /// `S_noise`: the standard deviation of the noise.
    pub noise: f32,
}

impl Default for Churn {
    fn default() -> Self {
        Self {
            amount: 0.0,
            sigma_min: 0.0,
            sigma_max: f32::INFINITY,
            noise: 1.0,
        }
    }
}

/// What a step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The sample at the next noise level.
    pub prev_sample: Vec<f32>,
    /// The clean sample that the model's output stands for, where the sampler computes it.
    pub pred_original: Option<Vec<f32>>,
}

/// Standard normals: called with a count, gives that many.
pub type Noise<'a> = dyn FnMut(usize) -> Vec<f32> + 'a;

/// One walk from noise to a clean sample. Solvers with memory keep it here, so a sampler serves
/// one generation, and its steps are taken in order.
pub struct Sampler {
    class_name: &'static str,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    init_noise_sigma: f32,
    batch: usize,
    learns_variance: bool,
    solver: Box<dyn Solver>,
}

/// The sampler of `config` for `steps` steps. Second order samplers call the model more often
/// than `steps`: see [`Sampler::timesteps`].
///
/// # Errors
/// [`Error::Request`] if `steps` is 0 or more than the model was trained with, if the schedule
/// has no room for so many, or if an option does not suit the class.
pub fn sampler(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Sampler> {
    let name = config.class_name();
    if steps == 0 {
        return Err(Error::request(format!(
            "{name}: 0 steps; at least 1 is needed"
        )));
    }
    let trained = config.num_train_timesteps();
    if steps > trained {
        return Err(Error::request(format!(
            "{name}: {steps} steps, but the model was trained with {trained} timesteps; ask for \
             at most {trained}"
        )));
    }
    check_options(config, steps, options)?;
    let plan = match config.class() {
        SamplerClass::Ddim => ddim::plan(config, steps, options)?,
        SamplerClass::Ddpm => ddpm::plan(config, steps, options)?,
        SamplerClass::Pndm => pndm::plan(config, steps)?,
        SamplerClass::Euler => euler::plan(config, steps, options)?,
        SamplerClass::EulerAncestral => euler::plan_ancestral(config, steps)?,
        SamplerClass::DpmMultistep => dpm_multistep::plan(config, steps, options)?,
        SamplerClass::DpmSinglestep => dpm_singlestep::plan(config, steps, options)?,
        SamplerClass::Heun => heun::plan(config, steps)?,
        SamplerClass::DeisMultistep => deis::plan(config, steps, options)?,
        SamplerClass::Kdpm2Ancestral => kdpm2::plan(config, steps)?,
        SamplerClass::FlowMatchEuler => flow_match::plan(config, steps, options)?,
    };
    Ok(Sampler {
        class_name: name,
        timesteps: plan.timesteps,
        sigmas: plan.sigmas,
        init_noise_sigma: plan.init_noise_sigma,
        batch: options.batch,
        learns_variance: config.learns_variance(),
        solver: plan.solver,
    })
}

impl Sampler {
    /// The timestep of each call of the model, noisy to clean. The model gets these numbers as
    /// they are: whole in DDIM, DDPM, PNDM, DPM-Solver and DEIS, perhaps fractional in the Euler
    /// family, Heun, KDPM2 and flow matching. The reference truncates none of them.
    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// Noise levels, one more than steps, twice as many for Heun and KDPM2; empty in DDIM, DDPM
    /// and PNDM.
    pub fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    /// The standard deviation of the noise to start from.
    pub fn init_noise_sigma(&self) -> f32 {
        self.init_noise_sigma
    }

    /// Whether the model's output has twice the channels of the sample.
    pub fn learns_variance(&self) -> bool {
        self.learns_variance
    }

    /// What the model gets to see of `sample` before call `i`.
    pub fn scale_model_input(&self, sample: &[f32], i: usize) -> Vec<f32> {
        self.solver.scale_model_input(sample, i)
    }

    /// The sample after call `i` of the model. `model_output` is as long as `sample`, or twice
    /// as long where the variance is learned (mean and variance channels of item 0, then of
    /// item 1 ...). `noise` is asked for as much noise as the step needs, in the order of the
    /// reference.
    ///
    /// # Errors
    /// [`Error::Request`] if `i` or a length does not fit.
    pub fn step(
        &mut self,
        i: usize,
        model_output: &[f32],
        sample: &[f32],
        noise: &mut Noise,
    ) -> Result<Step> {
        let calls = self.timesteps.len();
        if i >= calls {
            return Err(self.mismatch(format!("step {i} of a schedule with {calls}")));
        }
        if !sample.len().is_multiple_of(self.batch) {
            return Err(self.mismatch(format!(
                "a sample of {} values does not divide into {} items",
                sample.len(),
                self.batch
            )));
        }
        let wanted = sample.len() * if self.learns_variance { 2 } else { 1 };
        if model_output.len() != wanted {
            return Err(self.mismatch(format!(
                "the model gave {} values; expected {wanted} for a sample of {}",
                model_output.len(),
                sample.len()
            )));
        }
        let mut wrong_noise = None;
        let mut draw = |n: usize| {
            let drawn = noise(n);
            if drawn.len() == n {
                return drawn;
            }
            wrong_noise = Some(format!("{} values of noise; expected {n}", drawn.len()));
            vec![0.0; n]
        };
        let step = if self.learns_variance {
            let (mean, variance) = split_channels(model_output, self.batch);
            self.solver
                .step(i, &mean, Some(&variance), sample, &mut draw)
        } else {
            self.solver.step(i, model_output, None, sample, &mut draw)
        };
        match wrong_noise {
            Some(what) => Err(self.mismatch(what)),
            None => Ok(step),
        }
    }

    /// `clean` with as much noise as a sample has before call `i` of the model.
    ///
    /// # Errors
    /// [`Error::Request`] if `i` or a length does not fit.
    pub fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Result<Vec<f32>> {
        let calls = self.timesteps.len();
        if i >= calls {
            return Err(self.mismatch(format!("step {i} of a schedule with {calls}")));
        }
        if noise.len() != clean.len() {
            return Err(self.mismatch(format!(
                "{} values of noise; expected {}",
                noise.len(),
                clean.len()
            )));
        }
        Ok(self.solver.add_noise(clean, noise, i))
    }

    fn mismatch(&self, what: String) -> Error {
        Error::request(format!("{}: {what}", self.class_name))
    }
}

/// The rules of one family of samplers. Indices and lengths are checked by [`Sampler`].
trait Solver: Send {
    fn scale_model_input(&self, sample: &[f32], _i: usize) -> Vec<f32> {
        sample.to_vec()
    }

    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step;

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32>;
}

/// What a family lays out for a number of steps.
struct Plan {
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    init_noise_sigma: f32,
    solver: Box<dyn Solver>,
}

/// `Σ cₖ xₖ`, element by element, added up from left to right.
fn combine<const K: usize>(terms: [(f32, &[f32]); K]) -> Vec<f32> {
    let n = terms.iter().map(|(_, x)| x.len()).min().unwrap_or(0);
    (0..n)
        .map(|i| {
            let products = terms.iter().map(|(c, x)| c * x[i]);
            products.reduce(|sum, term| sum + term).unwrap_or(0.0)
        })
        .collect()
}

/// `f(a, b)`, element by element.
fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

/// The first and the second half of the channels of every item.
fn split_channels(output: &[f32], batch: usize) -> (Vec<f32>, Vec<f32>) {
    let mut halves = (Vec::new(), Vec::new());
    for item in output.chunks(output.len().div_ceil(batch).max(1)) {
        let (mean, variance) = item.split_at(item.len() / 2);
        halves.0.extend_from_slice(mean);
        halves.1.extend_from_slice(variance);
    }
    halves
}

/// Options that the class does not have, or whose values make no sense.
fn check_options(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<()> {
    use SamplerClass::{Ddim, Euler, FlowMatchEuler};
    let class = config.class();
    let default = SamplerOptions::default();
    let churn = options.churn;
    let ranges = [
        (options.batch > 0, "batch must be at least 1"),
        (
            (0.0..=1.0).contains(&options.eta),
            "eta must be from 0 to 1",
        ),
        (
            options.mu.is_none_or(|mu| mu.abs() <= 100.0),
            "mu must be from -100 to 100",
        ),
        (
            (0.0..1e6).contains(&churn.amount) && (0.0..1e6).contains(&churn.noise),
            "churn must be from 0 to 1000000",
        ),
        (
            class == Ddim || options.eta == 0.0 && !options.use_clipped_model_output,
            "eta and use_clipped_model_output are for DDIMScheduler only",
        ),
        (
            class == Euler || churn == default.churn,
            "churn is for EulerDiscreteScheduler only",
        ),
        (
            matches!(class, Euler | FlowMatchEuler) || options.sigmas.is_none(),
            "sigmas are for EulerDiscreteScheduler and FlowMatchEulerDiscreteScheduler only",
        ),
        (
            options.mu.is_some() == config.use_dynamic_shifting,
            if config.use_dynamic_shifting {
                "use_dynamic_shifting needs mu"
            } else {
                "mu is for use_dynamic_shifting only"
            },
        ),
    ];
    if let Some((_, what)) = ranges.into_iter().find(|(holds, _)| !holds) {
        return Err(Error::request(format!("{}: {what}", config.class_name())));
    }
    let Some(sigmas) = &options.sigmas else {
        return Ok(());
    };
    let wanted = if class == Euler { steps + 1 } else { steps };
    if sigmas.len() != wanted {
        return Err(Error::request(format!(
            "{}: {} sigmas for {steps} steps; expected {wanted}",
            config.class_name(),
            sigmas.len()
        )));
    }
    let most = if class == Euler { 1e6 } else { 1.0 };
    let falling = sigmas.is_sorted_by(|a, b| a > b);
    let above_zero = sigmas[..steps].iter().all(|s| 1e-6 < *s && *s <= most);
    if !falling || !above_zero || sigmas[wanted - 1] < 0.0 {
        return Err(Error::request(format!(
            "{}: sigmas must fall from at most {most} to at least 0.000001, or 0 after the last \
             step",
            config.class_name()
        )));
    }
    Ok(())
}
