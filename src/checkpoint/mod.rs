//! What lies in a directory: which components of which architecture, and the authors' defaults.
//!
//! Three layouts are understood: diffusers (`model_index.json` with `transformer/`, `vae/`,
//! `text_encoder/`, `tokenizer/`, `scheduler/`), the published Open-Sora Plan v1.3.0 layout (an
//! `any93x640x640/` folder and a `vae/`, the text encoder elsewhere), and components given one by
//! one. Nothing is read but configs; weights are mapped when a pipeline needs them.

mod defaults;
pub mod hub;
mod license;
mod registry;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

pub use defaults::{Defaults, PromptTemplate};
pub use license::license_of;
pub use registry::{Model, text_encoder, transformer, video_autoencoder};

use crate::models::{Denoiser, TextEncoder, VideoAutoencoder, config};
use crate::samplers::SamplerConfig;
use crate::weights::{OpenOptions, Weights};
use crate::{Error, Result};

/// Everything that a text-to-video generation needs.
pub struct Checkpoint {
    /// The directory, or a description where components came one by one.
    pub name: String,
    /// The denoiser.
    pub transformer: Component<dyn Denoiser>,
    /// The decoder of latents.
    pub vae: Component<dyn VideoAutoencoder>,
    /// The text encoder.
    pub text_encoder: Component<dyn TextEncoder>,
    /// A `spiece.model`, a `tokenizer.json`, or a directory with one of them.
    pub tokenizer: PathBuf,
    /// The sampler and its settings.
    pub scheduler: SamplerConfig,
    /// What a generation uses where the caller says nothing.
    pub defaults: Defaults,
}

/// A model with the place of its weights.
pub struct Component<M: ?Sized> {
    /// What messages call it: `transformer`, `vae`, `text_encoder`.
    pub role: &'static str,
    /// The directory with its config and weights.
    pub dir: PathBuf,
    /// The authors' class.
    pub class_name: String,
    /// The architecture with this checkpoint's config.
    pub model: Arc<M>,
    /// How its weights are opened.
    pub options: OpenOptions,
}

impl<M: ?Sized> Component<M> {
    /// Maps the component's weights.
    ///
    /// # Errors
    /// If there are none or they cannot be read.
    pub fn weights(&self) -> Result<Weights> {
        Weights::open(&self.dir, &self.options)
    }
}

/// Components that replace those of the checkpoint, or stand where there is none.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Directory of the transformer.
    pub transformer: Option<PathBuf>,
    /// Directory of the autoencoder.
    pub vae: Option<PathBuf>,
    /// Directory of the text encoder.
    pub text_encoder: Option<PathBuf>,
    /// Directory or file of the tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// A `scheduler_config.json` or its directory.
    pub scheduler: Option<PathBuf>,
    /// Which state dict of PyTorch files is meant.
    pub weights: OpenOptions,
}

impl Checkpoint {
    /// Opens a checkpoint directory, with components of it replaced; without a directory every
    /// component must be given.
    ///
    /// # Errors
    /// If a component is missing (all of them in one message), or its config is not supported.
    pub fn open(dir: Option<&Path>, overrides: &Overrides) -> Result<Self> {
        if let Some(dir) = dir.filter(|dir| !dir.is_dir()) {
            let what = if dir.exists() {
                "is not a directory"
            } else {
                "does not exist"
            };
            return Err(Error::file(
                dir,
                format!("{what}; pass the directory of a checkpoint as --model"),
            ));
        }
        let parts = Parts::find(dir, overrides)?;
        let (transformer, released) =
            registry::open_transformer(&parts.transformer, &overrides.weights)?;
        let vae =
            registry::open_component("vae", &parts.vae, video_autoencoder, &overrides.weights)?;
        let text_encoder = registry::open_component(
            "text_encoder",
            &parts.text_encoder,
            text_encoder,
            &overrides.weights,
        )?;
        let scheduler = match &parts.scheduler {
            Some(path) => SamplerConfig::from_file(path)?,
            None => defaults::released_scheduler()?,
        };
        let index = dir
            .map(|dir| dir.join("generation_config.json"))
            .filter(|path| path.is_file());
        let defaults = Defaults::new(&*transformer.model, &*vae.model, released, index.as_deref())?;
        let name = dir.map_or_else(
            || transformer.dir.display().to_string(),
            |dir| dir.display().to_string(),
        );
        let checkpoint = Self {
            name,
            transformer,
            vae,
            text_encoder,
            tokenizer: parts.tokenizer,
            scheduler,
            defaults,
        };
        checkpoint.check_fit()?;
        Ok(checkpoint)
    }

    /// Components must belong together.
    fn check_fit(&self) -> Result<()> {
        let fit = |a: usize, b: usize, what: &str, from: &Path, to: &Path| match a == b {
            true => Ok(()),
            false => Err(Error::request(format!(
                "{} has {a} {what}, {} has {b}; the components do not belong together",
                from.display(),
                to.display()
            ))),
        };
        let (transformer, vae, text) = (&self.transformer, &self.vae, &self.text_encoder);
        let channels = (
            transformer.model.latent_channels(),
            vae.model.latent_channels(),
        );
        fit(
            channels.0,
            channels.1,
            "latent channels",
            &transformer.dir,
            &vae.dir,
        )?;
        let normalised = vae.model.normalisation().len();
        if normalised != channels.1 {
            let what = format!(
                "scale and shift have {normalised} values for {} latent channels",
                channels.1
            );
            return Err(Error::file(vae.dir.join("config.json"), what));
        }
        let widths = (transformer.model.text_width(), text.model.width());
        fit(
            widths.0,
            widths.1,
            "text channels",
            &transformer.dir,
            &text.dir,
        )
    }
}

/// Where the components lie.
struct Parts {
    transformer: PathBuf,
    vae: PathBuf,
    text_encoder: PathBuf,
    tokenizer: PathBuf,
    scheduler: Option<PathBuf>,
}

/// The transformer's folder in the published Open-Sora Plan v1.3.0 repository.
const PUBLISHED_TRANSFORMER: &str = "any93x640x640";

impl Parts {
    fn find(dir: Option<&Path>, overrides: &Overrides) -> Result<Self> {
        let within = |names: &[&str]| {
            let dir = dir?;
            names
                .iter()
                .map(|name| dir.join(name))
                .find(|path| path.exists())
        };
        let or_within =
            |given: &Option<PathBuf>, names: &[&str]| given.clone().or_else(|| within(names));
        let transformer = or_within(
            &overrides.transformer,
            &["transformer", PUBLISHED_TRANSFORMER],
        );
        let vae = or_within(&overrides.vae, &["vae"]);
        let text_encoder = or_within(&overrides.text_encoder, &["text_encoder"]);
        let tokenizer = or_within(&overrides.tokenizer, &["tokenizer"]).or_else(|| {
            text_encoder.clone().filter(|dir| {
                dir.join("spiece.model").exists() || dir.join("tokenizer.json").exists()
            })
        });
        let scheduler = or_within(&overrides.scheduler, &["scheduler"]).map(|path| {
            if path.is_dir() {
                path.join("scheduler_config.json")
            } else {
                path
            }
        });
        let mut missing = vec![];
        let mut need = |part: Option<PathBuf>, flag: &'static str| {
            if part.is_none() {
                missing.push(flag);
            }
            part.unwrap_or_default()
        };
        let parts = Self {
            transformer: need(transformer, "--transformer"),
            vae: need(vae, "--vae"),
            text_encoder: need(text_encoder, "--text-encoder"),
            tokenizer: need(tokenizer, "--tokenizer"),
            scheduler,
        };
        if missing.is_empty() {
            return Ok(parts);
        }
        let missing = missing.join(", ");
        Err(match dir {
            Some(dir) => Error::file(
                dir,
                format!("is not a whole checkpoint; pass the missing components with {missing}"),
            ),
            None => Error::request(format!(
                "without --model every component is needed; missing: {missing}"
            )),
        })
    }
}

/// Whether a file of a repository belongs to a checkpoint, by its path: it lies at the top or in the
/// folder of a component that no override replaces.
pub fn is_checkpoint_file(path: &str, overrides: &Overrides) -> bool {
    let Some((folder, _)) = path.split_once('/') else {
        return true;
    };
    match folder {
        "transformer" | PUBLISHED_TRANSFORMER => overrides.transformer.is_none(),
        "vae" => overrides.vae.is_none(),
        "text_encoder" => overrides.text_encoder.is_none(),
        "tokenizer" => overrides.tokenizer.is_none(),
        "scheduler" => overrides.scheduler.is_none(),
        _ => false,
    }
}

/// The class that a component's config names: `_class_name` of diffusers, or the first of
/// `architectures` of transformers.
pub fn class_name(config: &Value) -> Option<&str> {
    let architecture = || config.get("architectures")?.get(0);
    config.get("_class_name").or_else(architecture)?.as_str()
}

/// Reads the config of a component's directory.
///
/// # Errors
/// If the directory has no `config.json` or it is no JSON.
pub fn read_config(role: &str, dir: &Path) -> Result<(PathBuf, Value)> {
    let path = dir.join("config.json");
    if !path.is_file() {
        return Err(Error::file(
            dir,
            format!("has no config.json; is it the directory of a {role}?"),
        ));
    }
    let config = config::read_json(&path)?;
    Ok((path, config))
}
