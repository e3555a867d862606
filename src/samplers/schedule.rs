//! The noise schedule that a model was trained with, and the timesteps and noise levels at which
//! a sampler visits it: what the samplers share.
//!
//! `ᾱ_t` is the share of signal (variance) left at timestep `t`, and `σ_t = √((1 − ᾱ_t) / ᾱ_t)`
//! the noise level of Karras et al. (2022, arXiv:2206.00364). Single and double precision are
//! mixed as PyTorch and NumPy mix them in diffusers 0.30.2, because the differences of nearly
//! equal numbers below would otherwise show in the samples.

use super::config::{BetaSchedule, SamplerConfig, Spacing};
use crate::{Error, Result};

/// The least signal that formulas in `ᾱ` bear in single precision.
const SIGNAL_FLOOR: f32 = 1e-30;
/// The least signal that formulas in fourth powers of `σ` bear in single precision.
const FINITE_SIGMA_FLOOR: f32 = 1e-18;
/// By how much noise levels must fall at least, relatively, for differences of their logarithms.
const LEAST_FALL: f32 = 1e-5;

/// What training fixed: `ᾱ_t` for every training timestep.
#[derive(Clone, Debug)]
pub(super) struct Trained {
    pub(super) alphas_bar: Vec<f32>,
}

impl Trained {
    /// The schedule of a configuration. With zero terminal SNR the last `ᾱ` is 0.
    pub(super) fn new(config: &SamplerConfig) -> Result<Self> {
        let mut betas = betas(config);
        if config.rescale_betas_zero_snr {
            betas = with_zero_terminal_snr(&betas);
        }
        let alphas_bar = cumulative_alphas(&betas);
        let falling = alphas_bar.is_sorted_by(|a, b| a > b);
        let ends = alphas_bar.last().copied().unwrap_or(0.0);
        let kept = ends >= SIGNAL_FLOOR || ends == 0.0;
        if !falling || !kept || alphas_bar[0] >= 1.0 {
            return Err(Error::request(format!(
                "{}: the betas do not make a noise schedule over {} timesteps: the share of \
                 signal must fall at every timestep and end at 0 or above {SIGNAL_FLOOR:e}; \
                 check beta_start, beta_end, beta_schedule and trained_betas",
                config.class_name(),
                alphas_bar.len(),
            )));
        }
        Ok(Self { alphas_bar })
    }

    /// As [`Trained::new`], but the last noise level stays finite: with zero terminal SNR the
    /// last `ᾱ` is 2⁻²⁴ (`scheduling_euler_discrete.py`).
    pub(super) fn with_finite_sigmas(config: &SamplerConfig) -> Result<Self> {
        let mut trained = Self::new(config)?;
        if config.rescale_betas_zero_snr
            && let Some(last) = trained.alphas_bar.last_mut()
        {
            *last = 1.0 / (1 << 24) as f32;
        }
        if trained.alphas_bar.iter().any(|&a| a < FINITE_SIGMA_FLOOR) {
            return Err(Error::request(format!(
                "{}: the betas leave less than {FINITE_SIGMA_FLOOR:e} of the signal, so the \
                 noise level grows beyond all bounds; smaller betas are needed",
                config.class_name()
            )));
        }
        Ok(trained)
    }

    /// `ᾱ_t`, or `before_first` for timesteps before the first one.
    pub(super) fn alpha_bar(&self, t: i64, before_first: f32) -> f32 {
        match usize::try_from(t) {
            Ok(t) => self.alphas_bar[t.min(self.alphas_bar.len() - 1)],
            Err(_) => before_first,
        }
    }

    /// `σ_t` of every training timestep, rising.
    pub(super) fn sigmas(&self) -> Vec<f32> {
        let sigma = |a: &f32| ((1.0 - a) / a).sqrt();
        self.alphas_bar.iter().map(sigma).collect()
    }

    /// The smallest trained noise level.
    pub(super) fn sigma_min(&self) -> f32 {
        ((1.0 - self.alphas_bar[0]) / self.alphas_bar[0]).sqrt()
    }

    /// Noises `clean` to timestep `t`: `√ᾱ_t x + √(1 − ᾱ_t) ε` (Ho et al. 2020, eq. 4).
    pub(super) fn add_noise(&self, clean: &[f32], noise: &[f32], t: i64) -> Vec<f32> {
        let alpha_bar = self.alpha_bar(t, 1.0);
        super::combine([(alpha_bar.sqrt(), clean), ((1.0 - alpha_bar).sqrt(), noise)])
    }

    /// Errors if the schedule does not know one of `timesteps`, or if the model predicts noise
    /// at a timestep without signal, from which nothing can be reconstructed.
    pub(super) fn check_timesteps(&self, config: &SamplerConfig, timesteps: &[i64]) -> Result<()> {
        let last = self.alphas_bar.len() as i64 - 1;
        let first = timesteps.iter().copied().max().unwrap_or(0);
        if first > last {
            return Err(Error::request(format!(
                "{}: {} steps with steps_offset {} start at timestep {first}, beyond the last \
                 trained timestep {last}; ask for fewer steps or a smaller steps_offset",
                config.class_name(),
                timesteps.len(),
                config.steps_offset,
            )));
        }
        let no_signal = timesteps.iter().any(|&t| self.alpha_bar(t, 1.0) == 0.0);
        if no_signal && config.prediction == super::config::Prediction::Epsilon {
            return Err(Error::request(format!(
                "{}: prediction_type epsilon cannot start at timestep {last}, where \
                 no signal is left (rescale_betas_zero_snr); allowed there: sample, v_prediction",
                config.class_name(),
            )));
        }
        Ok(())
    }
}

/// `β_t` for every training timestep (`beta_schedule` of the diffusers schedulers).
fn betas(config: &SamplerConfig) -> Vec<f32> {
    let (start, end) = (config.beta_start, config.beta_end);
    let n = config.num_train_timesteps;
    if let Some(betas) = &config.trained_betas {
        return betas.iter().map(|&b| b as f32).collect();
    }
    match config.beta_schedule {
        BetaSchedule::Linear => linspace_f32(start as f32, end as f32, n),
        BetaSchedule::ScaledLinear => {
            let roots = linspace_f32(start.sqrt() as f32, end.sqrt() as f32, n);
            roots.iter().map(|root| root * root).collect()
        }
        // Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17.
        BetaSchedule::SquaredCos => betas_for(n, |t| {
            let angle = (t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
            angle.cos().powi(2)
        }),
        BetaSchedule::Exp => betas_for(n, |t| (-12.0 * t).exp()),
        BetaSchedule::Sigmoid => linspace_f32(-6.0, 6.0, n)
            .iter()
            .map(|x| (end - start) as f32 / (1.0 + (-x).exp()) + start as f32)
            .collect(),
    }
}

/// `β_t` from a function of time in `[0, 1]` that gives `ᾱ`, capped at 0.999.
fn betas_for(n: usize, alpha_bar: impl Fn(f64) -> f64) -> Vec<f32> {
    let at = |i: usize| alpha_bar(i as f64 / n as f64);
    (0..n)
        .map(|i| (1.0 - at(i + 1) / at(i)).min(0.999) as f32)
        .collect()
}

/// `ᾱ_t = ∏ (1 − β_s)`, accumulated in double precision as PyTorch's `cumprod` does.
fn cumulative_alphas(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0;
    betas
        .iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

/// Shifts and scales `√ᾱ` so that the last one is 0 and the first one stays
/// (Lin et al. 2023, arXiv:2305.08891, Algorithm 1).
fn with_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumulative_alphas(betas).iter().map(|a| a.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let mut before = 1.0;
    roots
        .iter()
        .map(|root| {
            let root = (root - last) * scale;
            let alpha = root * root / before;
            before = root * root;
            1.0 - alpha
        })
        .collect()
}

/// `torch.linspace` in `f32`: from both ends towards the middle.
fn linspace_f32(start: f32, end: f32, n: usize) -> Vec<f32> {
    if n == 1 {
        return vec![start];
    }
    let step = (end - start) / (n - 1) as f32;
    (0..n)
        .map(|i| {
            if i < n / 2 {
                step.mul_add(i as f32, start)
            } else {
                (-step).mul_add((n - 1 - i) as f32, end)
            }
        })
        .collect()
}

/// `numpy.linspace`.
pub(super) fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    if n == 1 {
        return vec![start];
    }
    let step = (end - start) / (n - 1) as f64;
    let mut points: Vec<f64> = (0..n).map(|i| i as f64 * step + start).collect();
    points[n - 1] = end;
    points
}

/// `steps` timesteps from noisy to clean, spaced as Lin et al. (2023) name it in their Table 2.
/// `linspace` alone may give fractions.
pub(super) fn spaced(config: &SamplerConfig, steps: usize) -> Vec<f64> {
    let trained = config.num_train_timesteps;
    match config.spacing {
        Spacing::Linspace => {
            let mut points = linspace(0.0, (trained - 1) as f64, steps);
            points.reverse();
            points
        }
        Spacing::Leading => (0..steps)
            .rev()
            .map(|i| (i * (trained / steps) + config.steps_offset) as f64)
            .collect(),
        Spacing::Trailing => trailing(trained, trained, steps),
    }
}

/// `steps` whole timesteps below `last` for the multistep solvers: the points of `steps + 1`
/// evenly spaced ones without the clean end (`scheduling_dpmsolver_multistep.py`).
pub(super) fn spaced_above_clean(config: &SamplerConfig, last: usize, steps: usize) -> Vec<f64> {
    match config.spacing {
        Spacing::Linspace => linspace(0.0, (last - 1) as f64, steps + 1)[1..]
            .iter()
            .rev()
            .map(|t| t.round_ties_even())
            .collect(),
        Spacing::Leading => (1..=steps)
            .rev()
            .map(|i| (i * (last / (steps + 1)) + config.steps_offset) as f64)
            .collect(),
        Spacing::Trailing => trailing(config.num_train_timesteps, last, steps),
    }
}

/// `round(numpy.arange(from, 0, -trained / steps)) - 1`. At most `steps` values: where rounding
/// makes NumPy give one more, that one would be timestep −1.
fn trailing(trained: usize, from: usize, steps: usize) -> Vec<f64> {
    let from = from as f64;
    let step = trained as f64 / steps as f64;
    let n = ((from / step).ceil() as usize).clamp(1, steps);
    let delta = (from - step) - from;
    (0..n)
        .map(|i| (from + i as f64 * delta).round_ties_even() - 1.0)
        .collect()
}

/// `values` at fractional positions, linear in between and constant outside (`numpy.interp`).
pub(super) fn interpolate(values: &[f32], at: f64) -> f64 {
    let last = values.len() - 1;
    if at <= 0.0 {
        return f64::from(values[0]);
    }
    if at >= last as f64 {
        return f64::from(values[last]);
    }
    let i = at as usize;
    let (low, high) = (f64::from(values[i]), f64::from(values[i + 1]));
    (high - low) * (at - i as f64) + low
}

/// Noise levels from `max` to `min`, evenly spaced in `σ^(1/7)` (Karras et al. 2022, eq. 5).
pub(super) fn karras(min: f64, max: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (min, max) = (min.powf(1.0 / RHO), max.powf(1.0 / RHO));
    linspace(0.0, 1.0, steps)
        .iter()
        .map(|ramp| (max + ramp * (min - max)).powf(RHO))
        .collect()
}

/// Natural logarithms, as the reference computes them: in single precision.
pub(super) fn logs(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| v.ln()).collect()
}

/// The fractional timestep whose noise level is `sigma`, linear in `log σ` between the trained
/// ones.
pub(super) fn timestep_of(sigma: f64, log_sigmas: &[f32]) -> f64 {
    if log_sigmas.len() < 2 {
        return 0.0;
    }
    let log_sigma = sigma.max(1e-10).ln();
    let below = log_sigmas
        .iter()
        .rposition(|&l| log_sigma - f64::from(l) >= 0.0);
    let low = below.unwrap_or(0).min(log_sigmas.len() - 2);
    let (from, to) = (f64::from(log_sigmas[low]), f64::from(log_sigmas[low + 1]));
    let w = ((from - log_sigma) / (from - to)).clamp(0.0, 1.0);
    (1.0 - w) * low as f64 + w * (low + 1) as f64
}

/// Errors unless the noise levels fall: the multistep solvers divide by the differences of their
/// logarithms. The final level may equal the one before it.
pub(super) fn check_falling(config: &SamplerConfig, sigmas: &[f32]) -> Result<()> {
    let steps = sigmas.len() - 1;
    let stuck = sigmas[..steps]
        .windows(2)
        .position(|w| w[0] <= w[1] * (1.0 + LEAST_FALL));
    let rises_at_end = sigmas[steps - 1] < sigmas[steps];
    if stuck.is_none() && !rises_at_end {
        return Ok(());
    }
    Err(Error::request(format!(
        "{}: {steps} steps are too many for this schedule: the noise level does not fall \
         between steps {} and {}; ask for fewer steps",
        config.class_name(),
        stuck.map_or(steps, |i| i + 1),
        stuck.map_or(steps + 1, |i| i + 2),
    )))
}
