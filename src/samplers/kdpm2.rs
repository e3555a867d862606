//! The second order midpoint method with fresh noise after each step (DPM-Solver-2 in the noise
//! levels of Karras et al. 2022), as `scheduling_k_dpm_2_ancestral_discrete.py` has it: two
//! model calls per step, one in the last step.

use super::config::{Prediction, SamplerConfig};
use super::euler::{Levels, ancestral, init_noise_sigma, scale_to_unit};
use super::schedule::{Trained, logs, timestep_of};
use super::{Noise, Plan, Solver, Step, combine, zip};
use crate::Result;

pub(super) fn plan(config: &SamplerConfig, steps: usize) -> Result<Plan> {
    let trained = Trained::with_finite_sigmas(config)?;
    let mut levels = Levels::new(config, &trained, steps)?;
    if config.use_karras_sigmas {
        levels
            .timesteps
            .iter_mut()
            .for_each(|t| *t = t.round_ties_even());
    }
    let sigmas: Vec<f32> = levels.sigmas.iter().map(|&s| s as f32).collect();
    let intervals: Vec<Interval> = (0..steps)
        .map(|k| Interval::new(sigmas[k], sigmas.get(k + 1).copied().unwrap_or(0.0)))
        .collect();

    let logs = logs(&trained.sigmas());
    let mut timesteps = vec![levels.timesteps[0] as f32];
    for (interval, &t) in intervals.iter().zip(&levels.timesteps[1..]) {
        let middle = timestep_of(f64::from(interval.middle), &logs);
        timesteps.extend([middle as f32, t as f32]);
    }
    // As the reference lists them: the first level once, the others twice, 0 three times.
    let mut listed: Vec<f32> = sigmas.iter().flat_map(|&s| [s, s]).skip(1).collect();
    listed.extend([0.0; 3]);
    Ok(Plan {
        timesteps,
        init_noise_sigma: init_noise_sigma(config, &listed),
        sigmas: listed.clone(),
        solver: Box::new(Kdpm2Ancestral {
            sigmas: listed,
            intervals,
            prediction: config.prediction,
            start: None,
        }),
    })
}

/// A step from one noise level to the next.
struct Interval {
    sigma: f32,
    /// The geometric mean of `sigma` and `down`; 0 in the last step, which is an Euler step.
    middle: f32,
    down: f32,
    /// Fresh noise after the step.
    up: f32,
}

impl Interval {
    fn new(sigma: f32, next: f32) -> Self {
        let (up, down) = ancestral(sigma, next);
        let middle = if next > 0.0 {
            let (from, to) = (sigma.ln(), down.ln());
            (to - (to - from) * 0.5).exp()
        } else {
            0.0
        };
        Self {
            sigma,
            middle,
            down,
            up,
        }
    }
}

struct Kdpm2Ancestral {
    sigmas: Vec<f32>,
    intervals: Vec<Interval>,
    prediction: Prediction,
    /// The sample at the beginning of the step, while in its second half.
    start: Option<Vec<f32>>,
}

impl Kdpm2Ancestral {
    /// The interval of call `i`: 0, 1 belong to the first one, 2, 3 to the second one ... A walk
    /// that begins at an odd call begins with the interval after it.
    fn interval(&self, i: usize) -> &Interval {
        let begins = i.saturating_sub(usize::from(self.start.is_some()));
        &self.intervals[begins.div_ceil(2).min(self.intervals.len() - 1)]
    }

    /// The noise level of the sample before call `i`.
    fn sigma(&self, i: usize) -> f32 {
        match self.start {
            Some(_) => self.interval(i).middle,
            None => self.interval(i).sigma,
        }
    }
}

impl Solver for Kdpm2Ancestral {
    fn scale_model_input(&self, sample: &[f32], i: usize) -> Vec<f32> {
        scale_to_unit(sample, self.sigma(i))
    }

    fn step(
        &mut self,
        i: usize,
        output: &[f32],
        _variance: Option<&[f32]>,
        sample: &[f32],
        noise: &mut Noise,
    ) -> Step {
        let sigma = self.sigma(i);
        // Drawn in both halves, as the reference does; see Euler.
        let drawn = noise(sample.len());
        let x0 = self.prediction.clean_at(output, sample, sigma);
        let derivative = zip(sample, &x0, |x, x0| (x - x0) / sigma);
        let interval = self.interval(i);
        let (prev_sample, start) = match &self.start {
            None => {
                let dt = interval.middle - sigma;
                let middle = combine([(1.0, sample), (dt, &derivative)]);
                (middle, Some(sample.to_vec()))
            }
            Some(start) => {
                let dt = interval.down - interval.sigma;
                let terms = [(1.0, &**start), (dt, &derivative), (interval.up, &drawn)];
                (combine(terms), None)
            }
        };
        self.start = start;
        Step {
            prev_sample,
            pred_original: Some(x0),
        }
    }

    fn add_noise(&self, clean: &[f32], noise: &[f32], i: usize) -> Vec<f32> {
        combine([(1.0, clean), (self.sigmas[i], noise)])
    }
}
