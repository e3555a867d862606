//! The diffusion exponential integrator (Zhang and Chen 2022, arXiv:2204.13902), multistep, with
//! outputs interpolated by polynomials in `log ρ` where `ρ = σ / α`, as
//! `scheduling_deis_multistep.py` has it.

use super::config::{Prediction, SamplerConfig};
use super::dpm_multistep::timesteps_of;
use super::level::{History, Level};
use super::prediction::{Clip, noise_of};
use super::schedule::{Trained, check_falling, interpolate, karras, logs, spaced_above_clean};
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine};
use crate::Result;

/// From this many steps on, the last steps keep their order.
const MANY_STEPS: usize = 15;

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let all = trained.sigmas();
    let (min, max) = (f64::from(all[0]), f64::from(all[all.len() - 1]));
    // The final level is the smallest one; with those of Karras it is already there.
    let (timesteps, sigmas): (Vec<f64>, Vec<f64>) = if config.use_karras_sigmas {
        let sigmas = karras(min, max, steps);
        (timesteps_of(&sigmas, &logs(&all)), sigmas)
    } else {
        let timesteps = spaced_above_clean(config, config.num_train_timesteps, steps);
        let sigmas = timesteps.iter().map(|&t| interpolate(&all, t)).collect();
        (timesteps, sigmas)
    };
    let mut sigmas: Vec<f32> = sigmas.iter().map(|&s| s as f32).collect();
    sigmas.push(if config.use_karras_sigmas {
        sigmas[steps - 1]
    } else {
        all[0]
    });
    check_falling(config, &sigmas)?;
    let few = config.lower_order_final && steps < MANY_STEPS;
    let orders = (0..steps).map(|i| match steps - 1 - i {
        0 if few => 1,
        1 if few => config.solver_order.min(2),
        _ => config.solver_order,
    });
    Ok(Plan {
        timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        sigmas: sigmas.clone(),
        init_noise_sigma: 1.0,
        solver: Box::new(Deis {
            levels: sigmas.iter().map(|&s| Level::new(s)).collect(),
            orders: orders.collect(),
            prediction: config.prediction,
            clip: Clip::new(config, options.batch),
            history: History::new(config.solver_order),
        }),
    })
}

struct Deis {
    /// One more than steps.
    levels: Vec<Level>,
    /// The order that each step may have; the first steps lack the history for it.
    orders: Vec<usize>,
    prediction: Prediction,
    clip: Clip,
    history: History,
}

impl Deis {
    fn update(&self, i: usize, sample: &[f32]) -> Vec<f32> {
        let (t, s) = (self.levels[i + 1], self.levels[i]);
        let rho = |level: Level| level.sigma / level.alpha;
        let before = |k: usize| rho(self.levels[i.saturating_sub(k)]);
        let (to, r0) = (rho(t), rho(s));
        let scale = t.alpha / s.alpha;
        match (self.orders[i], self.history.outputs()) {
            (2.., [e0, e1]) | (2, [e0, e1, _]) => {
                let r1 = before(1);
                let c0 = linear(to, r0, r1) - linear(r0, r0, r1);
                let c1 = linear(to, r1, r0) - linear(r0, r1, r0);
                combine([(scale, sample), (t.alpha * c0, e0), (t.alpha * c1, e1)])
            }
            (3.., [e0, e1, e2]) => {
                let (r1, r2) = (before(1), before(2));
                let c0 = quadratic(to, r0, r1, r2) - quadratic(r0, r0, r1, r2);
                let c1 = quadratic(to, r1, r2, r0) - quadratic(r0, r1, r2, r0);
                let c2 = quadratic(to, r2, r0, r1) - quadratic(r0, r2, r0, r1);
                combine([
                    (scale, sample),
                    (t.alpha * c0, e0),
                    (t.alpha * c1, e1),
                    (t.alpha * c2, e2),
                ])
            }
            (_, outputs) => {
                let h = t.lambda - s.lambda;
                let factor = t.sigma * (h.exp() - 1.0);
                combine([(scale, sample), (-factor, &outputs[0])])
            }
        }
    }
}

/// `∫ (log t − log c) / (log b − log c) dt`: the line in `log t` that is 1 at `b`, 0 at `c`.
fn linear(t: f32, b: f32, c: f32) -> f32 {
    t * (-c.ln() + t.ln() - 1.0) / (b.ln() - c.ln())
}

/// `∫ (log t − log c)(log t − log d) / ((log b − log c)(log b − log d)) dt`: the parabola in
/// `log t` that is 1 at `b`, 0 at `c` and `d`.
fn quadratic(t: f32, b: f32, c: f32, d: f32) -> f32 {
    let (log_t, log_b, log_c, log_d) = (t.ln(), b.ln(), c.ln(), d.ln());
    let numerator =
        log_c * (log_d - log_t + 1.0) - log_d * log_t + log_d + log_t * log_t - 2.0 * log_t + 2.0;
    t * numerator / ((log_b - log_c) * (log_b - log_d))
}

impl Solver for Deis {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        _noise: &mut Noise,
    ) -> Step {
        let Level { alpha, sigma, .. } = self.levels[i];
        let mut x0 = self.prediction.clean(output, sample, alpha, sigma);
        self.clip.apply(&mut x0);
        self.history.push(noise_of(&x0, sample, alpha, sigma));
        Step {
            prev_sample: self.update(i, sample),
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        self.levels[i].add_noise(clean, noise)
    }
}
