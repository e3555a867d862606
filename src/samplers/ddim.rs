//! Denoising diffusion implicit models (Song et al. 2020, arXiv:2010.02502), as
//! `scheduling_ddim.py` has them.

use super::config::{Prediction, SamplerConfig};
use super::prediction::{Clip, noise_of};
use super::schedule::{Trained, spaced};
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine};
use crate::Result;

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = Trained::new(config)?;
    let timesteps = whole(&spaced(config, steps));
    trained.check_timesteps(config, &timesteps)?;
    let final_alpha_bar = if config.set_alpha_to_one {
        1.0
    } else {
        trained.alphas_bar[0]
    };
    Ok(Plan {
        timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        sigmas: Vec::new(),
        init_noise_sigma: 1.0,
        solver: Box::new(Ddim {
            trained,
            timesteps,
            stride: (config.num_train_timesteps / steps) as i64,
            final_alpha_bar,
            prediction: config.prediction,
            clip: Clip::new(config, options.batch),
            eta: options.eta,
            noise_from_clipped: options.use_clipped_model_output,
        }),
    })
}

/// Timesteps rounded half to even, as NumPy rounds.
pub(super) fn whole(timesteps: &[f64]) -> Vec<i64> {
    timesteps
        .iter()
        .map(|t| t.round_ties_even() as i64)
        .collect()
}

struct Ddim {
    trained: Trained,
    timesteps: Vec<i64>,
    stride: i64,
    final_alpha_bar: f32,
    prediction: Prediction,
    clip: Clip,
    eta: f32,
    noise_from_clipped: bool,
}

impl Solver for Ddim {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let t = self.timesteps[i];
        let alpha_bar = self.trained.alpha_bar(t, self.final_alpha_bar);
        let alpha_bar_prev = self
            .trained
            .alpha_bar(t - self.stride, self.final_alpha_bar);
        let (alpha, sigma) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());

        // The "predicted x₀" of eq. 12.
        let mut x0 = self.prediction.clean(output, sample, alpha, sigma);
        self.clip.apply(&mut x0);
        let eps = if self.noise_from_clipped {
            noise_of(&x0, sample, alpha, sigma)
        } else {
            self.prediction.noise(output, sample, alpha, sigma)
        };

        // σ_t(η) of eq. 16.
        let variance =
            (1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * (1.0 - alpha_bar / alpha_bar_prev);
        let std_dev = self.eta * variance.sqrt();
        let direction = (1.0 - alpha_bar_prev - std_dev * std_dev).max(0.0).sqrt();

        // Eq. 12.
        let mut prev_sample = combine([(alpha_bar_prev.sqrt(), &x0), (direction, &eps)]);
        if self.eta > 0.0 {
            prev_sample = combine([(1.0, &prev_sample), (std_dev, &noise(sample.len()))]);
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
