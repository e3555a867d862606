//! From what a model predicts to the clean sample `x₀` and the noise `ε`, and the two ways to
//! keep `x₀` in range.

use super::config::{Prediction, SamplerConfig};
use super::{combine, zip};

impl Prediction {
    /// `x₀` from a sample `α x₀ + σ ε`.
    pub(super) fn clean(self, output: &[f32], sample: &[f32], alpha: f32, sigma: f32) -> Vec<f32> {
        match self {
            Self::Epsilon => zip(sample, output, |x, eps| (x - sigma * eps) / alpha),
            Self::Sample => output.to_vec(),
            Self::Velocity => combine([(alpha, sample), (-sigma, output)]),
        }
    }

    /// `ε` from a sample `α x₀ + σ ε`.
    pub(super) fn noise(self, output: &[f32], sample: &[f32], alpha: f32, sigma: f32) -> Vec<f32> {
        match self {
            Self::Epsilon => output.to_vec(),
            Self::Sample => noise_of(output, sample, alpha, sigma),
            Self::Velocity => combine([(alpha, output), (sigma, sample)]),
        }
    }

    /// `x₀` from a sample `x₀ + σ ε`, whose model saw it divided by `√(σ² + 1)`
    /// (Karras et al. 2022, Table 1, the columns VP and "ours" for `v`).
    pub(super) fn clean_at(self, output: &[f32], sample: &[f32], sigma: f32) -> Vec<f32> {
        let variance = sigma * sigma + 1.0;
        match self {
            Self::Epsilon => zip(sample, output, |x, eps| x - sigma * eps),
            Self::Sample => output.to_vec(),
            Self::Velocity => {
                let scale = -sigma / variance.sqrt();
                zip(output, sample, |v, x| v * scale + x / variance)
            }
        }
    }
}

/// `ε` from a sample `α x₀ + σ ε` and its `x₀`.
pub(super) fn noise_of(clean: &[f32], sample: &[f32], alpha: f32, sigma: f32) -> Vec<f32> {
    zip(sample, clean, |x, x0| (x - alpha * x0) / sigma)
}

/// How `x₀` is kept in range.
#[derive(Clone, Debug)]
pub(super) enum Clip {
    Never,
    To(f32),
    Dynamic { ratio: f32, max: f32, batch: usize },
}

impl Clip {
    pub(super) fn new(config: &SamplerConfig, batch: usize) -> Self {
        if config.thresholding {
            Self::Dynamic {
                ratio: config.dynamic_thresholding_ratio,
                max: config.sample_max_value,
                batch,
            }
        } else if config.clip_sample {
            Self::To(config.clip_sample_range)
        } else {
            Self::Never
        }
    }

    pub(super) fn apply(&self, clean: &mut [f32]) {
        match *self {
            Self::Never => {}
            Self::To(range) => clean.iter_mut().for_each(|x| *x = x.clamp(-range, range)),
            Self::Dynamic { ratio, max, batch } => {
                let item = (clean.len() / batch).max(1);
                clean
                    .chunks_mut(item)
                    .for_each(|x| threshold(x, ratio, max));
            }
        }
    }
}

/// Dynamic thresholding (Saharia et al. 2022, arXiv:2205.11487, section 2.3): clips an item to
/// the quantile of its magnitudes, at least 1 and at most `max`, and divides by it.
fn threshold(item: &mut [f32], ratio: f32, max: f32) {
    let mut magnitudes: Vec<f32> = item.iter().map(|x| x.abs()).collect();
    magnitudes.sort_by(f32::total_cmp);
    let rank = ratio * (magnitudes.len() - 1) as f32;
    let (low, high) = (
        magnitudes[rank.floor() as usize],
        magnitudes[rank.ceil() as usize],
    );
    let quantile = low + (rank - rank.floor()) * (high - low);
    let s = quantile.max(1.0).min(max);
    item.iter_mut().for_each(|x| *x = x.clamp(-s, s) / s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_and_noise_put_the_sample_together_again() {
        let (sample, output) = ([0.3, -1.2, 2.0], [0.5, 0.7, -0.4]);
        let (alpha, sigma) = (0.8, 0.6);
        for kind in [
            Prediction::Epsilon,
            Prediction::Sample,
            Prediction::Velocity,
        ] {
            let clean = kind.clean(&output, &sample, alpha, sigma);
            let noise = kind.noise(&output, &sample, alpha, sigma);
            for ((x0, eps), x) in clean.iter().zip(&noise).zip(&sample) {
                assert!((alpha * x0 + sigma * eps - x).abs() < 1e-6, "{kind:?}");
            }
        }
    }

    #[test]
    fn each_item_is_thresholded_by_itself() {
        let clip = Clip::Dynamic {
            ratio: 1.0,
            max: 10.0,
            batch: 2,
        };
        let mut clean = [4.0, -2.0, 0.5, 0.25];
        clip.apply(&mut clean);
        assert_eq!(clean, [1.0, -0.5, 0.5, 0.25]);
    }
}
