//! What a generation uses where the caller says nothing.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::models::{Denoiser, VideoAutoencoder, config};
use crate::samplers::SamplerConfig;
use crate::{Error, Result};

/// Text around prompts that a model was trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate {
    /// The prompt with `{}` in its place.
    pub positive: String,
    /// The negative prompt where none is given.
    pub negative: String,
}

impl PromptTemplate {
    /// The template of Open-Sora Plan v1.3 (`opensora/utils/sample_utils.py`, v1.3.1), white space
    /// included.
    pub fn open_sora_plan() -> Self {
        Self {
            positive: "\n    high quality, high aesthetic, {}\n    ".into(),
            negative: "\n    nsfw, lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, \
                       fewer digits, cropped, worst quality, \n    low quality, normal quality, jpeg artifacts, \
                       signature, watermark, username, blurry.\n    "
                .into(),
        }
    }
}

/// Settings of a generation; a `generation_config.json` beside `model_index.json` goes over the
/// authors'.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Frames of the video.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Steps of the sampler.
    pub steps: usize,
    /// Guidance scale.
    pub guidance_scale: f32,
    /// Frames per second.
    pub fps: f64,
    /// Text tokens, padding included.
    pub text_tokens: usize,
    /// Negative prompt; the template's where absent.
    pub negative_prompt: Option<String>,
    /// Text around prompts.
    pub template: Option<PromptTemplate>,
    /// Sizes should be multiples of this, because the model saw no others.
    pub trained_multiple: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerationConfig {
    num_frames: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    num_inference_steps: Option<usize>,
    guidance_scale: Option<f32>,
    negative_prompt: Option<String>,
    /// `null`, `"open-sora-plan"`, or a text with `{}`.
    #[serde(default, deserialize_with = "given")]
    prompt_template: Option<Option<String>>,
    max_sequence_length: Option<usize>,
    fps: Option<f64>,
}

/// Tells a key that is `null` from one that is absent.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl Defaults {
    /// The authors' settings, and over them those of a `generation_config.json`.
    ///
    /// # Errors
    /// If that file is no JSON or has unknown keys or wrong types.
    pub fn new(
        transformer: &dyn Denoiser,
        vae: &dyn VideoAutoencoder,
        released: bool,
        generation_config: Option<&Path>,
    ) -> Result<Self> {
        let mut defaults = match (released, transformer.trained_latent()) {
            (false, Some(latent)) => Self::of_latent(latent, vae),
            _ => Self::open_sora_plan(),
        };
        defaults.trained_multiple = released.then_some(32);
        let Some(path) = generation_config else {
            return Ok(defaults);
        };
        let value = config::read_json(path)?;
        let over: GenerationConfig = config::typed(&value)
            .map_err(|e| Error::file(path, format!("wrong generation config: {e}")))?;
        defaults.frames = over.num_frames.unwrap_or(defaults.frames);
        defaults.height = over.height.unwrap_or(defaults.height);
        defaults.width = over.width.unwrap_or(defaults.width);
        defaults.steps = over.num_inference_steps.unwrap_or(defaults.steps);
        defaults.guidance_scale = over.guidance_scale.unwrap_or(defaults.guidance_scale);
        defaults.fps = over.fps.unwrap_or(defaults.fps);
        defaults.text_tokens = over.max_sequence_length.unwrap_or(defaults.text_tokens);
        defaults.negative_prompt = over.negative_prompt.or(defaults.negative_prompt);
        if let Some(template) = over.prompt_template {
            defaults.template = match template.as_deref() {
                None => None,
                Some("open-sora-plan") => Some(PromptTemplate::open_sora_plan()),
                Some(text) if text.contains("{}") => Some(PromptTemplate {
                    positive: text.to_owned(),
                    negative: String::new(),
                }),
                Some(text) => {
                    return Err(Error::file(
                        path,
                        format!(
                            "prompt_template is {text:?}; it must be null, \"open-sora-plan\" or a text with {{}}"
                        ),
                    ));
                }
            };
        }
        Ok(defaults)
    }

    /// Open-Sora Plan v1.3 (`scripts/text_condition/gpu/sample_t2v_v1_3.sh` of the authors).
    fn open_sora_plan() -> Self {
        Self {
            frames: 93,
            height: 352,
            width: 640,
            steps: 100,
            guidance_scale: 7.5,
            fps: 18.0,
            text_tokens: 512,
            negative_prompt: None,
            template: Some(PromptTemplate::open_sora_plan()),
            trained_multiple: None,
        }
    }

    /// The training shape of a model that is not the released one.
    fn of_latent([t, h, w]: [usize; 3], vae: &dyn VideoAutoencoder) -> Self {
        let [ft, fh, fw] = vae.factors();
        let frames = 1 + t.saturating_sub(1).saturating_mul(ft);
        let (height, width) = (h.saturating_mul(fh), w.saturating_mul(fw));
        Self {
            frames,
            height,
            width,
            ..Self::open_sora_plan()
        }
    }
}

/// The sampler of the authors' scripts, for checkpoints that hold no scheduler config.
pub(super) fn released_scheduler() -> Result<SamplerConfig> {
    let value = json!({
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_start": 0.0001,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": true,
        "timestep_spacing": "trailing",
    });
    SamplerConfig::from_json(
        &value,
        Path::new("the built-in scheduler of Open-Sora Plan v1.3"),
    )
}
