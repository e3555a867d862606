//! Heun's second order method (Karras et al. 2022, arXiv:2206.00364, Algorithm 1), as
//! `scheduling_heun_discrete.py` has it: two model calls per step, one in the last step.

use super::config::{Prediction, SamplerConfig};
use super::euler::{Levels, init_noise_sigma, scale_to_unit};
use super::prediction::Clip;
use super::schedule::Trained;
use super::{Noise, Plan, Solver, Step, combine, zip};
use crate::Result;

pub(super) fn plan(config: &SamplerConfig, steps: usize) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let levels = Levels::new(config, &trained, steps)?;
    // Inner levels twice: as the end of one step and the beginning of the next.
    let timesteps = doubled_after_first(&levels.timesteps);
    let mut sigmas = doubled_after_first(&levels.sigmas);
    sigmas.push(0.0);
    Ok(Plan {
        timesteps,
        init_noise_sigma: init_noise_sigma(config, &sigmas),
        sigmas: sigmas.clone(),
        solver: Box::new(Heun {
            sigmas,
            prediction: config.prediction,
            clip: Clip::new(config, 1),
            first_half: None,
        }),
    })
}

fn doubled_after_first(values: &[f64]) -> Vec<f32> {
    let doubled = values.iter().flat_map(|&v| [v as f32, v as f32]);
    doubled.skip(1).collect()
}

struct Heun {
    sigmas: Vec<f32>,
    prediction: Prediction,
    clip: Clip,
    first_half: Option<FirstHalf>,
}

/// What the Euler half of a step leaves for its correction.
struct FirstHalf {
    sample: Vec<f32>,
    derivative: Vec<f32>,
    dt: f32,
}

impl Solver for Heun {
    fn scale_model_input(&self, sample: &[f32], i: usize) -> Vec<f32> {
        scale_to_unit(sample, self.sigmas[i])
    }

    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        _noise: &mut Noise,
    ) -> Step {
        let sigma = self.sigmas[i];
        let mut x0 = self.prediction.clean_at(output, sample, sigma);
        self.clip.apply(&mut x0);
        let derivative = zip(sample, &x0, |x, x0| (x - x0) / sigma);
        let prev_sample = match self.first_half.take() {
            None => {
                let dt = self.sigmas[i + 1] - sigma;
                let prev_sample = combine([(1.0, sample), (dt, &derivative)]);
                self.first_half = Some(FirstHalf {
                    sample: sample.to_vec(),
                    derivative,
                    dt,
                });
                prev_sample
            }
            Some(first) => {
                let mean = zip(&first.derivative, &derivative, |a, b| (a + b) / 2.0);
                combine([(1.0, &first.sample), (first.dt, &mean)])
            }
        };
        Step {
            prev_sample,
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        combine([(1.0, clean), (self.sigmas[i], noise)])
    }
}
