//! DPM-Solver (Lu et al. 2022, arXiv:2206.00927), DPM-Solver++ (arXiv:2211.01095) and its SDE
//! variant, singlestep, as `scheduling_dpmsolver_singlestep.py` has them: steps of rising order
//! share a beginning, and each again goes from there to its own end.

use super::config::SamplerConfig;
use super::dpm_multistep::{Converted, Factors, last_timestep, levels};
use super::level::{History, Level};
use super::schedule::{Trained, linspace};
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine, zip};
use crate::{Error, Result};

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let orders = orders(config, steps);
    if orders[steps - 1] > 1 && !config.ends_at_sigma_min {
        return Err(Error::request(format!(
            "{}: {steps} steps of solver_order 3 end with a second order step to noise level 0, \
             which has no finite result; ask for {} or {} steps",
            config.class_name(),
            steps - 1,
            steps + 1
        )));
    }
    let trained = Trained::with_finite_sigmas(config)?;
    let last = last_timestep(config, &trained)?;
    let (timesteps, sigmas) = levels(config, &trained, steps, || {
        linspace(0.0, (last - 1) as f64, steps + 1)[1..]
            .iter()
            .rev()
            .map(|t| t.round_ties_even())
            .collect()
    })?;
    Ok(Plan {
        timesteps,
        sigmas: sigmas.clone(),
        init_noise_sigma: 1.0,
        solver: Box::new(DpmSinglestep {
            levels: sigmas.iter().map(|&s| Level::new(s)).collect(),
            orders,
            model: Converted::new(config, options),
            heun: config.heun,
            history: History::new(config.solver_order),
            start: Vec::new(),
        }),
    })
}

/// The order of each step: 1, 2, 3, 1, 2, 3 ... with 1 at the end where it is asked for, or where
/// the final noise level is 0.
fn orders(config: &SamplerConfig, steps: usize) -> Vec<usize> {
    let order = config.solver_order;
    let mut orders: Vec<usize> = (0..steps).map(|i| i % order + 1).collect();
    let lower_final = config.lower_order_final || !config.ends_at_sigma_min;
    if lower_final && steps.is_multiple_of(order) {
        orders[steps - 1] = 1;
    }
    orders
}

struct DpmSinglestep {
    /// One more than steps.
    levels: Vec<Level>,
    orders: Vec<usize>,
    model: Converted,
    heun: bool,
    history: History,
    /// The sample at the last step of order 1.
    start: Vec<f32>,
}

impl DpmSinglestep {
    fn update(&self, i: usize, order: usize, noise: &[f32]) -> Vec<f32> {
        let t = self.levels[i + 1];
        // The level where the steps that belong together began, and those after it.
        let begin = (i + 1).saturating_sub(order);
        let s = self.levels[begin];
        let h = t.lambda - s.lambda;
        let c = Factors::new(self.model.algorithm, t, s);
        let ratio = |k: usize| (self.levels[begin + k].lambda - s.lambda) / h;
        let sample = &self.start;
        let x_t = match (order, self.history.outputs()) {
            (2, [m1, m0, ..]) => {
                let d1 = zip(m1, m0, |m1, m0| (1.0 / ratio(1)) * (m1 - m0));
                let first = if self.heun { c.heun } else { c.midpoint };
                combine([(c.kept, sample), (c.zeroth, m0), (first, &d1)])
            }
            (3, [m2, m1, m0]) => {
                let (r1, r2) = (ratio(1), ratio(2));
                let d1_1 = zip(m1, m0, |m1, m0| (1.0 / r1) * (m1 - m0));
                let d1_2 = zip(m2, m0, |m2, m0| (1.0 / r2) * (m2 - m0));
                if self.heun {
                    let d1 = zip(&d1_1, &d1_2, |a, b| (r2 * a - r1 * b) / (r2 - r1));
                    let d2 = zip(&d1_1, &d1_2, |a, b| 2.0 * (b - a) / (r2 - r1));
                    combine([
                        (c.kept, sample),
                        (c.zeroth, m0),
                        (c.heun, &d1),
                        (c.second, &d2),
                    ])
                } else {
                    combine([(c.kept, sample), (c.zeroth, m0), (c.heun, &d1_2)])
                }
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

impl Solver for DpmSinglestep {
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
        // A walk that begins in the middle lacks the history for higher orders.
        let order = self.orders[i].min(self.history.outputs().len());
        if order == 1 {
            self.start = sample.to_vec();
        }
        Step {
            prev_sample: self.update(i, order, &drawn),
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        self.levels[i].add_noise(clean, noise)
    }
}
