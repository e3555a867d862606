//! DPM-Solver (Lu et al. 2022, arXiv:2206.00927), DPM-Solver++ (arXiv:2211.01095) and their SDE
//! variants, multistep, as `scheduling_dpmsolver_multistep.py` has them.

use super::config::{Algorithm, Prediction, SamplerConfig};
use super::level::{History, Level};
use super::prediction::{Clip, noise_of};
use super::schedule::{
    Trained, check_falling, interpolate, karras, linspace, logs, spaced_above_clean, timestep_of,
};
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine, zip};
use crate::{Error, Result};

/// From this many steps on, the last steps keep their order.
const MANY_STEPS: usize = 15;

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let last = last_timestep(config, &trained)?;
    let (timesteps, sigmas) = levels(config, &trained, steps, || {
        spaced_above_clean(config, last, steps)
    })?;
    let steps = timesteps.len();
    let few = config.lower_order_final && steps < MANY_STEPS;
    let ends_low = config.euler_at_final || few || !config.ends_at_sigma_min;
    let orders = (0..steps).map(|i| match steps - 1 - i {
        0 if ends_low => 1,
        1 if few => config.solver_order.min(2),
        _ => config.solver_order,
    });
    Ok(Plan {
        timesteps,
        sigmas: sigmas.clone(),
        init_noise_sigma: 1.0,
        solver: Box::new(DpmMultistep {
            levels: sigmas.iter().map(|&s| Level::new(s)).collect(),
            orders: orders.collect(),
            model: Converted::new(config, options),
            heun: config.heun,
            history: History::new(config.solver_order),
        }),
    })
}

/// How many timesteps lie above the smallest `λ` that `lambda_min_clipped` allows.
pub(super) fn last_timestep(config: &SamplerConfig, trained: &Trained) -> Result<usize> {
    let min = config.lambda_min_clipped as f32;
    let lambda = |a: &f32| a.sqrt().ln() - (1.0 - a).sqrt().ln();
    let lambdas = trained.alphas_bar.iter().rev().map(lambda);
    let clipped = lambdas.take_while(|&lambda| lambda < min).count();
    match config.num_train_timesteps - clipped {
        0 => Err(Error::request(format!(
            "{}: lambda_min_clipped is {}; no timestep is left above it",
            config.class_name(),
            config.lambda_min_clipped
        ))),
        last => Ok(last),
    }
}

/// Timesteps, and noise levels with the final one: those of Karras or of Lu if the configuration
/// says so, else those of the timesteps that `spaced` gives.
pub(super) fn levels(
    config: &SamplerConfig,
    trained: &Trained,
    steps: usize,
    spaced: impl FnOnce() -> Vec<f64>,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let all = trained.sigmas();
    let logs = logs(&all);
    let (min, max) = (0, all.len() - 1);
    let (timesteps, sigmas): (Vec<f64>, Vec<f64>) = if config.use_karras_sigmas {
        let sigmas = karras(f64::from(all[min]), f64::from(all[max]), steps);
        (timesteps_of(&sigmas, &logs), sigmas)
    } else if config.use_lu_lambdas {
        // Evenly spaced in λ, which is −log σ here (arXiv:2206.00927, section 3.3).
        let logs_at = linspace(f64::from(logs[max]), f64::from(logs[min]), steps);
        let sigmas: Vec<f64> = logs_at.iter().map(|l| l.exp()).collect();
        (timesteps_of(&sigmas, &logs), sigmas)
    } else {
        let timesteps = spaced();
        let sigmas = timesteps.iter().map(|&t| interpolate(&all, t)).collect();
        (timesteps, sigmas)
    };
    let mut sigmas: Vec<f32> = sigmas.iter().map(|&s| s as f32).collect();
    sigmas.push(if config.ends_at_sigma_min {
        all[min]
    } else {
        0.0
    });
    check_falling(config, &sigmas)?;
    Ok((timesteps.iter().map(|&t| t as f32).collect(), sigmas))
}

/// The whole timesteps nearest to noise levels.
pub(super) fn timesteps_of(sigmas: &[f64], logs: &[f32]) -> Vec<f64> {
    sigmas
        .iter()
        .map(|&s| timestep_of(s, logs).round_ties_even())
        .collect()
}

/// What a DPM-Solver integrates: `x₀` in the `++` algorithms, `ε` in the others.
pub(super) struct Converted {
    pub(super) algorithm: Algorithm,
    prediction: Prediction,
    clip: Clip,
}

impl Converted {
    pub(super) fn new(config: &SamplerConfig, options: &SamplerOptions) -> Self {
        Self {
            algorithm: config.algorithm,
            prediction: config.prediction,
            clip: Clip::new(config, options.batch),
        }
    }

    /// The converted output, and `x₀`.
    pub(super) fn convert(
        &self,
        output: &[f32],
        sample: &[f32],
        at: Level,
    ) -> (Vec<f32>, Vec<f32>) {
        let mut x0 = self.prediction.clean(output, sample, at.alpha, at.sigma);
        self.clip.apply(&mut x0);
        let converted = match (self.algorithm, &self.clip) {
            (Algorithm::DpmPlusPlus | Algorithm::SdeDpmPlusPlus, _) => x0.clone(),
            (_, Clip::Never) => self.prediction.noise(output, sample, at.alpha, at.sigma),
            (_, _) => noise_of(&x0, sample, at.alpha, at.sigma),
        };
        (converted, x0)
    }

    pub(super) fn is_stochastic(&self) -> bool {
        matches!(
            self.algorithm,
            Algorithm::SdeDpm | Algorithm::SdeDpmPlusPlus
        )
    }
}

/// The factors of a step over `h = λ_t − λ_s`, from which each order takes what it needs:
/// `x_t = kept · x + zeroth · D₀ + first · D₁ + second · D₂ + fresh · noise`, where `Dₖ` is the
/// `k`-th derivative of the output in units of `h`.
pub(super) struct Factors {
    pub(super) kept: f32,
    pub(super) zeroth: f32,
    /// `first` of the midpoint solver, and of the Heun solver and the third order.
    pub(super) midpoint: f32,
    pub(super) heun: f32,
    pub(super) second: f32,
    pub(super) fresh: f32,
}

impl Factors {
    /// arXiv:2211.01095, eq. 9 and Appendices A and B; arXiv:2206.00927, Appendix B.
    pub(super) fn new(algorithm: Algorithm, t: Level, s: Level) -> Self {
        let h = t.lambda - s.lambda;
        let (alpha, sigma) = (t.alpha, t.sigma);
        match algorithm {
            Algorithm::DpmPlusPlus => {
                let e = (-h).exp() - 1.0;
                Self {
                    kept: sigma / s.sigma,
                    zeroth: -(alpha * e),
                    midpoint: -0.5 * (alpha * e),
                    heun: alpha * (e / h + 1.0),
                    second: -(alpha * (((-h).exp() - 1.0 + h) / (h * h) - 0.5)),
                    fresh: 0.0,
                }
            }
            Algorithm::Dpm => {
                let e = h.exp() - 1.0;
                Self {
                    kept: alpha / s.alpha,
                    zeroth: -(sigma * e),
                    midpoint: -0.5 * (sigma * e),
                    heun: -(sigma * (e / h - 1.0)),
                    second: -(sigma * ((h.exp() - 1.0 - h) / (h * h) - 0.5)),
                    fresh: 0.0,
                }
            }
            Algorithm::SdeDpmPlusPlus => {
                let e = 1.0 - (-2.0 * h).exp();
                Self {
                    kept: sigma / s.sigma * (-h).exp(),
                    zeroth: alpha * e,
                    midpoint: 0.5 * (alpha * e),
                    heun: alpha * (e / (-2.0 * h) + 1.0),
                    second: 0.0,
                    fresh: sigma * e.max(0.0).sqrt(),
                }
            }
            Algorithm::SdeDpm => {
                let e = h.exp() - 1.0;
                Self {
                    kept: alpha / s.alpha,
                    zeroth: -2.0 * (sigma * e),
                    midpoint: -(sigma * e),
                    heun: -2.0 * (sigma * (e / h - 1.0)),
                    second: 0.0,
                    fresh: sigma * ((2.0 * h).exp() - 1.0).max(0.0).sqrt(),
                }
            }
        }
    }
}

struct DpmMultistep {
    /// One more than steps.
    levels: Vec<Level>,
    /// The order that each step may have; the first steps lack the history for it.
    orders: Vec<usize>,
    model: Converted,
    heun: bool,
    history: History,
}

impl DpmMultistep {
    fn update(&self, i: usize, sample: &[f32], noise: &[f32]) -> Vec<f32> {
        let (t, s0) = (self.levels[i + 1], self.levels[i]);
        let h = t.lambda - s0.lambda;
        if h == 0.0 {
            return sample.to_vec();
        }
        let c = Factors::new(self.model.algorithm, t, s0);
        // Levels before step `i`, of which there are as many as the history is long.
        let before = |k: usize| self.levels[i.saturating_sub(k)].lambda;
        let x_t = match (self.orders[i], self.history.outputs()) {
            (2.., [m0, m1]) | (2, [m0, m1, _]) => {
                let r0 = (s0.lambda - before(1)) / h;
                let d1 = zip(m0, m1, |m0, m1| (1.0 / r0) * (m0 - m1));
                let first = if self.heun { c.heun } else { c.midpoint };
                combine([(c.kept, sample), (c.zeroth, m0), (first, &d1)])
            }
            (3.., [m0, m1, m2]) => {
                let r0 = (s0.lambda - before(1)) / h;
                let r1 = (before(1) - before(2)) / h;
                let d1_0 = zip(m0, m1, |m0, m1| (1.0 / r0) * (m0 - m1));
                let d1_1 = zip(m1, m2, |m1, m2| (1.0 / r1) * (m1 - m2));
                let d1 = zip(&d1_0, &d1_1, |a, b| a + (r0 / (r0 + r1)) * (a - b));
                let d2 = zip(&d1_0, &d1_1, |a, b| (1.0 / (r0 + r1)) * (a - b));
                combine([
                    (c.kept, sample),
                    (c.zeroth, m0),
                    (c.heun, &d1),
                    (c.second, &d2),
                ])
            }
            (_, outputs) => combine([(c.kept, sample), (c.zeroth, &outputs[0])]),
        };
        if self.model.is_stochastic() {
            combine([(1.0, &x_t), (c.fresh, noise)])
        } else {
            x_t
        }
    }
}

impl Solver for DpmMultistep {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let (converted, x0) = self.model.convert(output, sample, self.levels[i]);
        self.history.push(converted);
        let drawn = if self.model.is_stochastic() {
            noise(sample.len())
        } else {
            Vec::new()
        };
        Step {
            prev_sample: self.update(i, sample, &drawn),
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        self.levels[i].add_noise(clean, noise)
    }
}
