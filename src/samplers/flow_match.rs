//! Euler steps of a rectified flow (Esser et al. 2024, arXiv:2403.03206), as
//! `scheduling_flow_match_euler_discrete.py` has them: a sample is `(1 − σ) x₀ + σ ε`, and the
//! model predicts the velocity `ε − x₀`.

use super::config::SamplerConfig;
use super::schedule::linspace;
use super::{Noise, Plan, SamplerOptions, Solver, Step, combine};
use crate::Result;

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = config.num_train_timesteps as f64;
    // The ends of the training levels are already shifted when they are spread out and shifted
    // (again) as the reference does it, in single precision.
    let end = |level: f64| {
        let level = level as f32;
        let shift = config.shift as f32;
        f64::from(if config.use_dynamic_shifting {
            level
        } else {
            shift * level / (1.0 + (shift - 1.0) * level)
        })
    };
    let even = || {
        let ends = (end(1.0) * trained, end(1.0 / trained) * trained);
        let timesteps = linspace(ends.0, ends.1, steps);
        timesteps.iter().map(|t| t / trained).collect()
    };
    let levels: Vec<f64> = options.sigmas.clone().unwrap_or_else(even);
    let shifted = levels.iter().map(|&level| match options.mu {
        // Time shifting of FLUX, with its exponent 1: e^μ / (e^μ + 1/σ − 1).
        Some(mu) => mu.exp() / (mu.exp() + (1.0 / level - 1.0)),
        None => config.shift * level / (1.0 + (config.shift - 1.0) * level),
    });
    let mut sigmas: Vec<f32> = shifted.map(|sigma| sigma as f32).collect();
    let timesteps = sigmas.iter().map(|s| s * trained as f32).collect();
    sigmas.push(0.0);
    Ok(Plan {
        timesteps,
        init_noise_sigma: 1.0,
        sigmas: sigmas.clone(),
        solver: Box::new(FlowMatchEuler { sigmas }),
    })
}

struct FlowMatchEuler {
    sigmas: Vec<f32>,
}

impl Solver for FlowMatchEuler {
    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        _noise: &mut Noise,
    ) -> Step {
        let (sigma, next) = (self.sigmas[i], self.sigmas[i + 1]);
        Step {
            prev_sample: combine([(1.0, sample), (next - sigma, output)]),
            pred_original: Some(combine([(1.0, sample), (-sigma, output)])),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        let sigma = self.sigmas[i];
        combine([(sigma, noise), (1.0 - sigma, clean)])
    }
}
