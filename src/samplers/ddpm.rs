//! Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239), as
//! `scheduling_ddpm.py` has them.

use super::config::{Prediction, SamplerConfig, Variance};
use super::ddim::whole;
use super::prediction::Clip;
use super::schedule::{Trained, spaced};
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine};
use crate::Result;

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = Trained::new(config)?;
    let timesteps = whole(&spaced(config, steps));
    trained.check_timesteps(config, &timesteps)?;
    Ok(Plan {
        timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        sigmas: Vec::new(),
        init_noise_sigma: 1.0,
        solver: Box::new(Ddpm {
            trained,
            timesteps,
            stride: (config.num_train_timesteps / steps) as i64,
            prediction: config.prediction,
            clip: Clip::new(config, options.batch),
            variance: config.variance,
        }),
    })
}

struct Ddpm {
    trained: Trained,
    timesteps: Vec<i64>,
    stride: i64,
    prediction: Prediction,
    clip: Clip,
    variance: Option<Variance>,
}

impl Solver for Ddpm {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let t = self.timesteps[i];
        let alpha_bar = self.trained.alpha_bar(t, 1.0);
        let alpha_bar_prev = self.trained.alpha_bar(t - self.stride, 1.0);
        let (beta_bar, beta_bar_prev) = (1.0 - alpha_bar, 1.0 - alpha_bar_prev);
        let alpha = alpha_bar / alpha_bar_prev;
        let beta = 1.0 - alpha;

        // Eq. 15.
        let mut x0 = self
            .prediction
            .clean(output, sample, alpha_bar.sqrt(), beta_bar.sqrt());
        self.clip.apply(&mut x0);

        // μ̃ of eq. 7.
        let x0_coefficient = alpha_bar_prev.sqrt() * beta / beta_bar;
        let sample_coefficient = alpha.sqrt() * beta_bar_prev / beta_bar;
        let mut prev_sample = combine([(x0_coefficient, &x0), (sample_coefficient, sample)]);

        if t > 0 {
            // β̃ of eq. 7, kept above 0 because its logarithm is taken.
            let small = (beta_bar_prev / beta_bar * beta).max(1e-20);
            let drawn = noise(sample.len());
            prev_sample = match (self.variance, variance) {
                (Some(Variance::LearnedRange | Variance::Learned), Some(range)) => {
                    between(small.ln(), beta.ln(), range, &drawn, &prev_sample)
                }
                (Some(Variance::FixedLarge), _) => {
                    combine([(1.0, &prev_sample), (beta.sqrt(), &drawn)])
                }
                (Some(Variance::FixedSmallLog), _) => {
                    let std_dev = (0.5 * small.ln()).exp();
                    combine([(1.0, &prev_sample), (std_dev, &drawn)])
                }
                _ => combine([(1.0, &prev_sample), (small.sqrt(), &drawn)]),
            };
        }
        Step {
            prev_sample,
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        self.trained.add_noise(clean, noise, self.timesteps[i])
    }
}

/// Adds noise whose log variance lies between the smallest and the largest one where the model
/// says, from −1 to 1 (Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 15).
fn between(min: f32, max: f32, range: &[f32], noise: &[f32], mean: &[f32]) -> Vec<f32> {
    let std_dev = range.iter().map(|v| {
        let fraction = (v + 1.0) / 2.0;
        (0.5 * (fraction * max + (1.0 - fraction) * min)).exp()
    });
    let noises = std_dev.zip(noise).map(|(std_dev, n)| std_dev * n);
    mean.iter().zip(noises).map(|(m, n)| m + n).collect()
}
