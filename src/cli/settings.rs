//! Flags for the size and the course of a generation, which several commands take.

use clap::Args;

use super::size::Size;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::pipeline::Request;

/// Size and course of a generation.
#[derive(Args)]
pub(super) struct SettingsArgs {
    /// Height and width in pixels, such as 480x832. Default: the checkpoint's.
    #[arg(long, value_name = "HxW")]
    size: Option<Size>,
    /// Frames, 4n+1; 1 makes an image. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Steps of the sampler. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<usize>,
    /// How strongly the prompt guides; 1 and less turn guidance off. Default: the checkpoint's.
    #[arg(long, value_name = "S")]
    guidance_scale: Option<f32>,
    /// The sampler, by diffusers' names: DDIM, DDPM, PNDM, EulerDiscrete, EulerAncestralDiscrete,
    /// DPMSolverMultistep, DPMSolverSinglestep, HeunDiscrete, DEISMultistep,
    /// KDPM2AncestralDiscrete, FlowMatchEulerDiscrete. Default: the checkpoint's.
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
    /// Text tokens the model sees, 1 to 4096. Default: the checkpoint's.
    #[arg(long, value_name = "N")]
    text_tokens: Option<usize>,
    /// Latent frames decoded at once; more is faster up to a point and needs more memory. 0: all.
    /// Default: 2.
    #[arg(long, value_name = "N")]
    decode_chunk: Option<usize>,
}

impl SettingsArgs {
    /// A request with these settings, without a prompt.
    pub(super) fn request(&self, checkpoint: &Checkpoint) -> Result<Request> {
        let sampler = self
            .sampler
            .as_deref()
            .map(|name| checkpoint.scheduler.with_class(name))
            .transpose()?;
        Ok(Request {
            height: self.size.map(|size| size.height),
            width: self.size.map(|size| size.width),
            frames: self.frames,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            sampler,
            text_tokens: self.text_tokens,
            decode_chunk: self.decode_chunk,
            ..Request::default()
        })
    }

    /// As [`SettingsArgs::request`], with a prompt that stands for any.
    pub(super) fn sample_request(&self, checkpoint: &Checkpoint) -> Result<Request> {
        Ok(Request {
            prompt: "a cat that walks through tall grass".into(),
            ..self.request(checkpoint)?
        })
    }
}
