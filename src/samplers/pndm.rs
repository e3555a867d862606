//! Pseudo numerical methods for diffusion models (Liu et al. 2022, arXiv:2202.09778), as
//! `scheduling_pndm.py` has them: Runge-Kutta steps at the beginning unless they are skipped,
//! then linear multistep steps.

use super::config::{Prediction, SamplerConfig};
use super::ddim::whole;
use super::schedule::{Trained, spaced};
use super::{Noise, Plan, Solver, Step, combine, zip};
use crate::{Error, Result};

/// Steps that the Runge-Kutta method takes before the multistep method has its history.
const RUNGE_KUTTA_STEPS: usize = 3;
/// Timesteps that it needs for them: one more.
const RUNGE_KUTTA_TIMESTEPS: usize = RUNGE_KUTTA_STEPS + 1;

pub(super) fn plan(config: &SamplerConfig, steps: usize) -> Result<Plan> {
    if !config.skip_prk_steps && steps < RUNGE_KUTTA_TIMESTEPS {
        return Err(Error::request(format!(
            "{}: {steps} steps; at least {RUNGE_KUTTA_TIMESTEPS} are needed unless \
             skip_prk_steps is true",
            config.class_name()
        )));
    }
    let trained = Trained::new(config)?;
    let stride = (config.num_train_timesteps / steps) as i64;
    let spaced = whole(&spaced(config, steps));
    trained.check_timesteps(config, &spaced)?;
    let mut timesteps = Vec::new();
    let mut runge_kutta_calls = 0;
    if config.skip_prk_steps {
        // The second timestep twice: a step and its correction.
        timesteps.extend(spaced.iter().take(2));
        timesteps.extend(spaced.iter().skip(1));
    } else {
        for pair in spaced.windows(2).take(RUNGE_KUTTA_STEPS) {
            let middle = pair[1] + stride / 2;
            timesteps.extend([pair[0], middle, middle, pair[1]]);
        }
        runge_kutta_calls = timesteps.len();
        timesteps.extend(&spaced[RUNGE_KUTTA_STEPS..]);
    }
    let final_alpha_bar = if config.set_alpha_to_one {
        1.0
    } else {
        trained.alphas_bar[0]
    };
    Ok(Plan {
        timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        sigmas: Vec::new(),
        init_noise_sigma: 1.0,
        solver: Box::new(Pndm {
            trained,
            timesteps,
            runge_kutta_calls,
            stride,
            final_alpha_bar,
            velocity: config.prediction == Prediction::Velocity,
            calls: 0,
            history: Vec::new(),
            start: Vec::new(),
            slope: Vec::new(),
        }),
    })
}

struct Pndm {
    trained: Trained,
    timesteps: Vec<i64>,
    runge_kutta_calls: usize,
    stride: i64,
    final_alpha_bar: f32,
    velocity: bool,
    /// Model calls so far.
    calls: usize,
    /// The last outputs at the beginnings of steps, newest last, at most four.
    history: Vec<Vec<f32>>,
    /// The sample at the beginning of the step.
    start: Vec<f32>,
    /// The weighted sum of a Runge-Kutta step's outputs so far.
    slope: Vec<f32>,
}

impl Pndm {
    /// One of the four calls of a Runge-Kutta step (Algorithm 2, eq. 13).
    fn runge_kutta(&mut self, t: i64, output: &[f32], sample: &[f32]) -> Vec<f32> {
        let half = self.stride / 2;
        let (weight, to) = match self.calls % 4 {
            0 => {
                self.history.push(output.to_vec());
                self.start = sample.to_vec();
                self.slope = vec![0.0; output.len()];
                (1.0 / 6.0, t - half)
            }
            1 => (1.0 / 3.0, t),
            2 => (1.0 / 3.0, t - half),
            _ => (1.0 / 6.0, t),
        };
        self.slope = combine([(1.0, &self.slope), (weight, output)]);
        let from = self.timesteps[self.calls / 4 * 4];
        let output = if self.calls % 4 == 3 {
            &self.slope
        } else {
            output
        };
        self.transfer(&self.start, from, to, output)
    }

    /// A linear multistep step (eq. 12); without Runge-Kutta steps before it, the first step is
    /// corrected by its second call.
    fn multistep(&mut self, t: i64, output: &[f32], sample: &[f32]) -> Vec<f32> {
        if self.calls == 1 {
            let mean = match self.history.last() {
                Some(first) => zip(output, first, |a, b| (a + b) / 2.0),
                None => output.to_vec(),
            };
            return self.transfer(&self.start, t + self.stride, t, &mean);
        }
        if self.calls == 0 {
            self.start = sample.to_vec();
        }
        if self.history.len() == 4 {
            self.history.remove(0);
        }
        self.history.push(output.to_vec());
        let mean = match self.history.as_slice() {
            [e1, e0] => zip(e0, e1, |e0, e1| (3.0 * e0 - e1) / 2.0),
            [e2, e1, e0] => combine([(23.0, e0), (-16.0, e1), (5.0, e2)])
                .iter()
                .map(|sum| sum / 12.0)
                .collect(),
            [e3, e2, e1, e0] => combine([(55.0, e0), (-59.0, e1), (37.0, e2), (-9.0, e3)])
                .iter()
                .map(|sum| sum / 24.0)
                .collect(),
            _ => output.to_vec(),
        };
        self.transfer(sample, t, t - self.stride, &mean)
    }

    /// From timestep `from` to timestep `to` along a noise prediction (eq. 9).
    fn transfer(&self, sample: &[f32], from: i64, to: i64, output: &[f32]) -> Vec<f32> {
        let a = self.trained.alpha_bar(from, self.final_alpha_bar);
        let a_to = self.trained.alpha_bar(to, self.final_alpha_bar);
        let (b, b_to) = (1.0 - a, 1.0 - a_to);
        let converted;
        let eps = if self.velocity {
            converted = combine([(a.sqrt(), output), (b.sqrt(), sample)]);
            &converted
        } else {
            output
        };
        let scale = (a_to / a).sqrt();
        let denominator = a * b_to.sqrt() + (a * b * a_to).sqrt();
        zip(sample, eps, |x, eps| {
            scale * x - (a_to - a) * eps / denominator
        })
    }
}

impl Solver for Pndm {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        _noise: &mut Noise,
    ) -> Step {
        let t = self.timesteps[i];
        let prev_sample = if self.calls < self.runge_kutta_calls {
            self.runge_kutta(t, output, sample)
        } else {
            self.multistep(t, output, sample)
        };
        self.calls += 1;
        Step {
            prev_sample,
            pred_original: None,
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        self.trained.add_noise(clean, noise, self.timesteps[i])
    }
}
