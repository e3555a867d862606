//! Whole generations against those of the authors' pipeline.
//!
//! A folder holds `cases.json`, which maps a case's name to the arguments of the call, and for each
//! case a `case-<name>.safetensors` with `out.latents [1, C, T, H, W]` as the last step left them
//! and `out.frames [1, T, H, W, 3]` as bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::read_case;
use crate::models::config;
use crate::pipeline::{Observer, Request, TextToVideo};
use crate::samplers::SamplerConfig;
use crate::tensor::{DType, HostTensor};
use crate::{Error, Result};

/// Arguments of one generation, under the names of the authors' pipeline.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    prompt: String,
    #[serde(default)]
    negative_prompt: Option<String>,
    scheduler: String,
    #[serde(default)]
    scheduler_overrides: Map<String, Value>,
    seed: u64,
    num_inference_steps: usize,
    guidance_scale: f32,
    #[serde(default)]
    guidance_rescale: f32,
    #[serde(default)]
    eta: f32,
    num_frames: usize,
    height: usize,
    width: usize,
    max_sequence_length: usize,
    /// Only 1: more are drawn from one generator there, from a seed each here.
    #[serde(default = "one")]
    num_samples_per_prompt: usize,
}

fn one() -> usize {
    1
}

impl Call {
    fn request(&self, scheduler: &SamplerConfig) -> Result<Request> {
        Ok(Request {
            prompt: self.prompt.clone(),
            negative_prompt: Some(self.negative_prompt.clone().unwrap_or_default()),
            height: Some(self.height),
            width: Some(self.width),
            frames: Some(self.num_frames),
            steps: Some(self.num_inference_steps),
            guidance_scale: Some(self.guidance_scale),
            guidance_rescale: self.guidance_rescale,
            eta: self.eta,
            seed: self.seed,
            sampler: Some(
                scheduler
                    .with_class(&self.scheduler)?
                    .with_overrides(&self.scheduler_overrides)?,
            ),
            text_tokens: Some(self.max_sequence_length),
            template: Some(false),
            decode_chunk: None,
        })
    }
}

/// What a generation may differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PipelineLimits {
    /// Largest difference of latents, in units of `max(1, max |expected|)`.
    pub latents: f64,
    /// Mean difference of frames, of 255.
    pub frames_mean: f64,
    /// Largest difference of frames, of 255.
    pub frames_max: u8,
}

impl PipelineLimits {
    /// The limits for a compute dtype. In f32: what arithmetic in another order comes to after thirty
    /// steps. In 16 bits: about twice what the demo's generations differ by on the twin of an Ascend
    /// card (latents 1.8e-3 in f16 and 1e-2 in bf16, frames 2 and 7 of 255, on average 0.05 and 0.37).
    pub fn of(dtype: DType) -> Self {
        let (latents, frames_mean, frames_max) = match dtype {
            DType::F16 => (4e-3, 0.1, 4),
            DType::BF16 => (2.5e-2, 0.8, 16),
            _ => (5e-4, 0.1, 4),
        };
        Self {
            latents,
            frames_mean,
            frames_max,
        }
    }
}

/// How one generation came out.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineOutcome {
    /// The case.
    pub case: String,
    /// Largest difference of latents, in units of `max(1, max |expected|)`.
    pub latents: f64,
    /// Mean difference of frames, of 255.
    pub frames_mean: f64,
    /// Largest difference of frames, of 255.
    pub frames_max: u8,
    /// Whether the limits hold.
    pub ok: bool,
}

/// Runs every case of a folder.
///
/// # Errors
/// If the folder is not of the format, a case does not suit the checkpoint, or the device fails.
pub fn run_pipeline(
    pipeline: &mut TextToVideo,
    dir: &Path,
    limits: PipelineLimits,
    observer: &dyn Observer,
) -> Result<Vec<PipelineOutcome>> {
    let path = dir.join("cases.json");
    let calls: BTreeMap<String, Call> = config::typed(&config::read_json(&path)?)
        .map_err(|e| Error::file(&path, format!("does not describe generations: {e}")))?;
    let scheduler = pipeline.checkpoint().scheduler.clone();
    let run = |(name, call): (String, Call)| {
        if call.num_samples_per_prompt != 1 {
            let what = format!(
                "{name}: num_samples_per_prompt is {}; only 1 is supported",
                call.num_samples_per_prompt
            );
            return Err(Error::file(&path, what));
        }
        let file = dir.join(format!("case-{name}.safetensors"));
        let expected = read_case(&file)?;
        let mut frames: Vec<u8> = vec![];
        let generated = pipeline.generate(&call.request(&scheduler)?, observer, &mut |frame| {
            frames.extend(crate::media::to_rgb8(&frame.pixels));
            Ok(())
        })?;
        let shape = [1, call.num_frames, call.height, call.width, 3];
        let find = |tensor: &str, shape: &[usize]| match expected.get(tensor) {
            Some(found) if found.shape() == shape => Ok(found),
            Some(found) => Err(Error::file(
                &file,
                format!("{tensor} is {found:?}, expected {shape:?}"),
            )),
            None => Err(Error::file(&file, format!("has no {tensor}"))),
        };
        let latents = find("out.latents", generated.latents.shape())?;
        Ok(compare(
            name,
            &generated.latents,
            latents,
            &frames,
            find("out.frames", &shape)?,
            limits,
        ))
    };
    calls.into_iter().map(run).collect()
}

fn compare(
    case: String,
    latents: &HostTensor,
    expected_latents: &HostTensor,
    frames: &[u8],
    expected_frames: &HostTensor,
    limits: PipelineLimits,
) -> PipelineOutcome {
    let expected = expected_latents.cast(DType::F32);
    let scale = expected.as_f32().iter().fold(1f32, |m, v| m.max(v.abs()));
    let differences = latents
        .as_f32()
        .iter()
        .zip(expected.as_f32())
        .map(|(a, b)| f64::from((a - b).abs()));
    let latents = differences.fold(0.0, f64::max) / f64::from(scale);
    let differences: Vec<u8> = frames
        .iter()
        .zip(expected_frames.as_bytes())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let frames_mean =
        differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len().max(1) as f64;
    let frames_max = differences.into_iter().max().unwrap_or_default();
    let ok = latents <= limits.latents
        && frames_mean <= limits.frames_mean
        && frames_max <= limits.frames_max;
    PipelineOutcome {
        case,
        latents,
        frames_mean,
        frames_max,
        ok,
    }
}
