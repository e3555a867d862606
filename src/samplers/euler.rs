//! Euler steps along the probability flow ODE in the noise levels of Karras et al. (2022,
//! arXiv:2206.00364): plain with optional churn (`scheduling_euler_discrete.py`, their
//! Algorithm 2 without the second order correction), and ancestral, which overshoots and adds
//! fresh noise (`scheduling_euler_ancestral_discrete.py`).

use super::config::{Prediction, SamplerConfig, Spacing};
use super::schedule::{Trained, interpolate, karras, logs, spaced, timestep_of};
use super::{Churn, Noise, Plan, SamplerOptions, Solver, Step, combine, zip};
use crate::{Error, Result};

/// Timesteps and their noise levels, without the final level.
pub(super) struct Levels {
    pub(super) timesteps: Vec<f64>,
    pub(super) sigmas: Vec<f64>,
}

impl Levels {
    /// Levels of the Euler family for `steps` steps, of the class's spacing or that of Karras.
    pub(super) fn new(config: &SamplerConfig, trained: &Trained, steps: usize) -> Result<Self> {
        let all = trained.sigmas();
        let timesteps: Vec<f64> = spaced(config, steps)
            .iter()
            .map(|&t| f64::from(t as f32))
            .collect();
        let sigmas: Vec<f64> = timesteps.iter().map(|&t| interpolate(&all, t)).collect();
        if !config.use_karras_sigmas {
            return Ok(Self { timesteps, sigmas });
        }
        let min = config.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]);
        let max = config.sigma_max.unwrap_or(sigmas[0]);
        if min > max {
            return Err(Error::request(format!(
                "{}: the smallest noise level {min} is above the largest {max:.4}; check sigma_min \
                 and sigma_max",
                config.class_name()
            )));
        }
        let sigmas = karras(min, max, steps);
        let logs = logs(&all);
        let timesteps = sigmas.iter().map(|&s| timestep_of(s, &logs)).collect();
        Ok(Self { timesteps, sigmas })
    }
}

/// The standard deviation of the initial noise: the largest level, or what a sample at that
/// level has where the spacing stops short of pure noise.
pub(super) fn init_noise_sigma(config: &SamplerConfig, sigmas: &[f32]) -> f32 {
    let max = sigmas.iter().copied().fold(0.0, f32::max);
    match config.spacing {
        Spacing::Linspace | Spacing::Trailing => max,
        Spacing::Leading => (max * max + 1.0).sqrt(),
    }
}

/// What the model sees of a sample at noise level `sigma`: unit variance.
pub(super) fn scale_to_unit(sample: &[f32], sigma: f32) -> Vec<f32> {
    let scale = (sigma * sigma + 1.0).sqrt();
    sample.iter().map(|x| x / scale).collect()
}

/// From level `from` to level `to`: how much fresh noise to add, and the level to step down to
/// before (`get_ancestral_step` of k-diffusion).
pub(super) fn ancestral(from: f32, to: f32) -> (f32, f32) {
    let up_squared = (to * to * (from * from - to * to) / (from * from)).max(0.0);
    let up = up_squared.sqrt();
    let down_squared = to * to - up * up;
    // Rounding eats the difference where a step skips most levels; it is to⁴ / from².
    let down = if down_squared > 0.0 {
        down_squared.sqrt()
    } else {
        to * to / from
    };
    (up, down)
}

pub(super) fn plan(config: &SamplerConfig, steps: usize, options: &SamplerOptions) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let (timesteps, sigmas): (Vec<f64>, Vec<f32>) = match &options.sigmas {
        Some(sigmas) => {
            let logs = logs(&trained.sigmas());
            let sigmas: Vec<f32> = sigmas.iter().map(|&s| s as f32).collect();
            let at = |&s: &f32| timestep_of(f64::from(s), &logs);
            (sigmas[..steps].iter().map(at).collect(), sigmas)
        }
        None => {
            let levels = Levels::new(config, &trained, steps)?;
            let mut sigmas: Vec<f32> = levels.sigmas.iter().map(|&s| s as f32).collect();
            sigmas.push(if config.ends_at_sigma_min {
                trained.sigma_min()
            } else {
                0.0
            });
            (levels.timesteps, sigmas)
        }
    };
    let timesteps = if config.continuous && config.prediction == Prediction::Velocity {
        sigmas[..steps].iter().map(|s| 0.25 * s.ln()).collect()
    } else {
        timesteps.iter().map(|&t| t as f32).collect()
    };
    Ok(euler_plan(config, timesteps, sigmas, |sigmas| {
        Box::new(Euler {
            sigmas,
            prediction: config.prediction,
            churn: options.churn,
        })
    }))
}

pub(super) fn plan_ancestral(config: &SamplerConfig, steps: usize) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let levels = Levels::new(config, &trained, steps)?;
    let mut sigmas: Vec<f32> = levels.sigmas.iter().map(|&s| s as f32).collect();
    sigmas.push(0.0);
    let timesteps = levels.timesteps.iter().map(|&t| t as f32).collect();
    Ok(euler_plan(config, timesteps, sigmas, |sigmas| {
        Box::new(EulerAncestral {
            sigmas,
            prediction: config.prediction,
        })
    }))
}

fn euler_plan(
    config: &SamplerConfig,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    solver: impl FnOnce(Vec<f32>) -> Box<dyn Solver>,
) -> Plan {
    Plan {
        timesteps,
        init_noise_sigma: init_noise_sigma(config, &sigmas),
        sigmas: sigmas.clone(),
        solver: solver(sigmas),
    }
}

struct Euler {
    sigmas: Vec<f32>,
    prediction: Prediction,
    churn: Churn,
}

impl Solver for Euler {
    fn scale_model_input(&self, sample: &[f32], i: usize) -> Vec<f32> {
        scale_to_unit(sample, self.sigmas[i])
    }

    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let (sigma, next) = (self.sigmas[i], self.sigmas[i + 1]);
        let churn = self.churn;
        let gamma = if (churn.sigma_min..=churn.sigma_max).contains(&sigma) {
            (churn.amount / (self.sigmas.len() - 1) as f32).min(std::f32::consts::SQRT_2 - 1.0)
        } else {
            0.0
        };
        let sigma_hat = sigma * (gamma + 1.0);
        // The reference draws noise even if it does not use it, and so do we: a generator that
        // goes on to another sample must be in the same state.
        let drawn = noise(sample.len());
        let churned;
        let sample = if gamma > 0.0 {
            let added = (sigma_hat * sigma_hat - sigma * sigma).sqrt();
            churned = zip(sample, &drawn, |x, n| x + n * churn.noise * added);
            &churned
        } else {
            sample
        };
        let x0 = match self.prediction {
            Prediction::Velocity => self.prediction.clean_at(output, sample, sigma),
            _ => self.prediction.clean_at(output, sample, sigma_hat),
        };
        let dt = next - sigma_hat;
        Step {
            prev_sample: zip(sample, &x0, |x, x0| x + (x - x0) / sigma_hat * dt),
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        combine([(1.0, clean), (self.sigmas[i], noise)])
    }
}

struct EulerAncestral {
    sigmas: Vec<f32>,
    prediction: Prediction,
}

impl Solver for EulerAncestral {
    fn scale_model_input(&self, sample: &[f32], i: usize) -> Vec<f32> {
        scale_to_unit(sample, self.sigmas[i])
    }

    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let (sigma, next) = (self.sigmas[i], self.sigmas[i + 1]);
        let (up, down) = ancestral(sigma, next);
        let x0 = self.prediction.clean_at(output, sample, sigma);
        let dt = down - sigma;
        let stepped = zip(sample, &x0, |x, x0| x + (x - x0) / sigma * dt);
        Step {
            prev_sample: combine([(1.0, &stepped), (up, &noise(sample.len()))]),
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        combine([(1.0, clean), (self.sigmas[i], noise)])
    }
}
