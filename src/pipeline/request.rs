//! A request, and what it comes to for a checkpoint.

use crate::checkpoint::{Checkpoint, PromptTemplate};
use crate::samplers::{SamplerConfig, SamplerOptions, sampler};
use crate::{Error, Result};

/// What a caller asks for; `None` takes the checkpoint's default.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What the video should show.
    pub prompt: String,
    /// What it should not show.
    pub negative_prompt: Option<String>,
    /// Height in pixels.
    pub height: Option<usize>,
    /// Width in pixels.
    pub width: Option<usize>,
    /// Frames; `4 n + 1`, 1 for an image.
    pub frames: Option<usize>,
    /// Steps of the sampler.
    pub steps: Option<usize>,
    /// How strongly the prompt guides; 1 and less turn guidance off.
    pub guidance_scale: Option<f32>,
    /// How far guided predictions are rescaled to the spread of unguided ones, 0 to 1.
    pub guidance_rescale: f32,
    /// `η` of DDIM: 0 is deterministic, 1 adds as much noise as DDPM.
    pub eta: f32,
    /// Seed of the noise.
    pub seed: u64,
    /// The sampler and its settings.
    pub sampler: Option<SamplerConfig>,
    /// Text tokens, padding included.
    pub text_tokens: Option<usize>,
    /// Whether the model's prompt template is used; the checkpoint's default where absent.
    pub template: Option<bool>,
    /// Latent frames that are decoded at once; 0 decodes the whole video at once.
    pub decode_chunk: Option<usize>,
}

/// Latent frames decoded at once where the caller does not say.
pub(super) const DECODE_CHUNK: usize = 2;

/// A request with every default filled in, checked against the model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The prompt with the template around it.
    pub prompt: String,
    /// The negative prompt.
    pub negative_prompt: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Frames.
    pub frames: usize,
    /// Steps of the sampler.
    pub steps: usize,
    /// Guidance scale.
    pub guidance_scale: f32,
    /// Guidance rescale.
    pub guidance_rescale: f32,
    /// `η` of DDIM.
    pub eta: f32,
    /// Seed.
    pub seed: u64,
    /// The sampler.
    pub sampler: SamplerConfig,
    /// Text tokens.
    pub text_tokens: usize,
    /// Latent `[T, H, W]`.
    pub latent: [usize; 3],
    /// Latent frames decoded at once; `None` for all.
    pub decode_chunk: Option<usize>,
    /// How often the denoiser runs: once per step, or more often with samplers of second order.
    pub denoiser_runs: usize,
}

impl Settings {
    /// Fills in defaults and checks sizes and sampler.
    ///
    /// # Errors
    /// If a size is not one that the model can make, with the nearest ones that are, or if the
    /// sampler cannot take so many steps or does not suit the model.
    pub fn new(request: &Request, checkpoint: &Checkpoint) -> Result<Self> {
        let defaults = &checkpoint.defaults;
        let [ft, fh, fw] = checkpoint.vae.model.factors();
        let [_, ph, pw] = checkpoint.transformer.model.patch();
        let frames = request.frames.unwrap_or(defaults.frames);
        let height = request.height.unwrap_or(defaults.height);
        let width = request.width.unwrap_or(defaults.width);
        let limit = 1 << 15;
        if height > limit || width > limit || frames > limit {
            let what = format!(
                "{frames} frames of {height}x{width} is out of range; the largest value is {limit}"
            );
            return Err(Error::request(what));
        }
        if frames == 0 || !(frames - 1).is_multiple_of(ft) {
            let below = frames.saturating_sub(1) / ft * ft + 1;
            let nearest = if frames == 0 {
                "1".into()
            } else {
                format!("{below} and {}", below + ft)
            };
            return Err(Error::request(format!(
                "{frames} frames cannot be made, only {ft} n + 1 (1 is an image); nearest: {nearest}"
            )));
        }
        check_multiple("height", height, fh * ph)?;
        check_multiple("width", width, fw * pw)?;
        if let Some(multiple) = defaults.trained_multiple
            && (!height.is_multiple_of(multiple) || !width.is_multiple_of(multiple))
        {
            tracing::warn!(
                "the model was trained with sizes in multiples of {multiple}, not {height}x{width}"
            );
        }
        let scale = request.guidance_scale.unwrap_or(defaults.guidance_scale);
        if !scale.is_finite() || scale < 0.0 {
            return Err(Error::request(format!(
                "guidance scale {scale} is out of range; it must be 0 or more"
            )));
        }
        let rescale = request.guidance_rescale;
        if !(0.0..=1.0).contains(&rescale) {
            return Err(Error::request(format!(
                "guidance rescale {rescale} is out of range; it must be 0 to 1"
            )));
        }
        if !(0.0..=1.0).contains(&request.eta) {
            return Err(Error::request(format!(
                "eta {} is out of range; it must be 0 to 1",
                request.eta
            )));
        }
        let text_tokens = request.text_tokens.unwrap_or(defaults.text_tokens);
        if !(1..=4096).contains(&text_tokens) {
            return Err(Error::request(format!(
                "{text_tokens} text tokens are out of range; it must be 1 to 4096"
            )));
        }
        if request.prompt.trim().is_empty() {
            return Err(Error::request(
                "the prompt is empty; say what the video should show",
            ));
        }
        let template = match request.template {
            Some(true) => Some(
                defaults
                    .template
                    .clone()
                    .unwrap_or_else(PromptTemplate::open_sora_plan),
            ),
            Some(false) => None,
            None => defaults.template.clone(),
        };
        let prompt = match &template {
            Some(template) => template.positive.replace("{}", &request.prompt),
            None => request.prompt.clone(),
        };
        let negative_prompt = request
            .negative_prompt
            .clone()
            .or_else(|| defaults.negative_prompt.clone())
            .or_else(|| template.map(|template| template.negative))
            .unwrap_or_default();
        let latent = [(frames - 1) / ft + 1, height / fh, width / fw];
        let decode_chunk = match request.decode_chunk.unwrap_or(DECODE_CHUNK) {
            0 => None,
            chunk => Some(chunk.min(latent[0])),
        };
        let steps = request.steps.unwrap_or(defaults.steps);
        let sampler_config = request
            .sampler
            .clone()
            .unwrap_or_else(|| checkpoint.scheduler.clone());
        let walk = sampler(&sampler_config, steps, &SamplerOptions::default())?;
        if walk.learns_variance() {
            return Err(Error::request(format!(
                "{}: this model does not learn the variance; choose another variance_type",
                sampler_config.class_name()
            )));
        }
        Ok(Self {
            prompt,
            negative_prompt,
            height,
            width,
            frames,
            steps,
            guidance_scale: scale,
            guidance_rescale: rescale,
            eta: request.eta,
            seed: request.seed,
            sampler: sampler_config,
            text_tokens,
            latent,
            decode_chunk: decode_chunk.filter(|_| checkpoint.vae.model.streams()),
            denoiser_runs: walk.timesteps().len(),
        })
    }

    /// Whether the prediction is guided: then every step runs on two rows.
    pub fn guided(&self) -> bool {
        self.guidance_scale > 1.0
    }
}

fn check_multiple(what: &str, size: usize, multiple: usize) -> Result<()> {
    if size > 0 && size.is_multiple_of(multiple) {
        return Ok(());
    }
    let below = size / multiple * multiple;
    let nearest = if below == 0 {
        multiple.to_string()
    } else {
        format!("{below} and {}", below + multiple)
    };
    Err(Error::request(format!(
        "{what} {size} cannot be made, only multiples of {multiple}; nearest: {nearest}"
    )))
}
