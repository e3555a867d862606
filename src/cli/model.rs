//! Which checkpoint a command works on: flags, hub repositories, the demo.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Global;
use super::download::HubProgress;
use crate::cancel::Cancel;
use crate::checkpoint::hub::{Hub, HubConfig, Location, RepoId, is_engine_file};
use crate::checkpoint::{Checkpoint, Overrides, is_checkpoint_file};
use crate::weights::OpenOptions;
use crate::{Error, Result};

/// Which checkpoint.
#[derive(Args)]
pub(super) struct CheckpointArgs {
    /// Directory of a checkpoint, or a hub repository: owner/name or owner/name@revision. Default:
    /// the demo, in assets/demo or beside the program. HF_ENDPOINT names a mirror of the hub, HF_HOME
    /// the directory of downloads, HF_TOKEN an access token.
    #[arg(short, long, value_name = "DIR|REPO")]
    pub(super) model: Option<PathBuf>,
    /// Directory or hub repository of another transformer.
    #[arg(long, value_name = "DIR|REPO")]
    transformer: Option<PathBuf>,
    /// Directory or hub repository of another VAE.
    #[arg(long, value_name = "DIR|REPO")]
    vae: Option<PathBuf>,
    /// Directory or hub repository of another text encoder.
    #[arg(long, value_name = "DIR|REPO")]
    text_encoder: Option<PathBuf>,
    /// Directory or file of another tokenizer (spiece.model or tokenizer.json).
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<PathBuf>,
    /// Another scheduler_config.json, or its directory.
    #[arg(long, value_name = "PATH")]
    scheduler: Option<PathBuf>,
    /// Which state dict of a PyTorch file: auto (averaged weights where there are any), ema, plain,
    /// or a key.
    #[arg(long, value_name = "KEY", default_value = "auto")]
    state_dict: String,
    /// Tensors that the model does not use are errors, not warnings.
    #[arg(long)]
    pub(super) strict: bool,
}

impl CheckpointArgs {
    /// A model and nothing else.
    pub(super) fn only(model: PathBuf) -> Self {
        Self {
            model: Some(model),
            transformer: None,
            vae: None,
            text_encoder: None,
            tokenizer: None,
            scheduler: None,
            state_dict: "auto".to_owned(),
            strict: false,
        }
    }

    /// How PyTorch files are opened.
    pub(super) fn weights(&self) -> OpenOptions {
        OpenOptions {
            state_dict: self.state_dict.as_str().into(),
        }
    }

    /// Whether a component is given beside the model.
    pub(super) fn has_overrides(&self) -> bool {
        [
            &self.transformer,
            &self.vae,
            &self.text_encoder,
            &self.tokenizer,
            &self.scheduler,
        ]
        .iter()
        .any(|component| component.is_some())
    }

    /// Opens the checkpoint. What is named by its place on a hub is downloaded first.
    pub(super) fn open(&self, global: &Global, cancel: &Cancel) -> Result<Checkpoint> {
        self.open_at(self.model.as_deref(), global, cancel)
    }

    /// As [`CheckpointArgs::open`], with a model in place of the flag's.
    pub(super) fn open_at(
        &self,
        model: Option<&Path>,
        global: &Global,
        cancel: &Cancel,
    ) -> Result<Checkpoint> {
        let component = |given: &Option<PathBuf>| {
            let wanted = |path: &str| is_engine_file(path) && !path.contains('/');
            given
                .as_ref()
                .map(|path| local(path, &wanted, global, cancel))
                .transpose()
        };
        let overrides = Overrides {
            transformer: component(&self.transformer)?,
            vae: component(&self.vae)?,
            text_encoder: component(&self.text_encoder)?,
            tokenizer: self.tokenizer.clone(),
            scheduler: self.scheduler.clone(),
            weights: self.weights(),
        };
        let complete = overrides.transformer.is_some()
            && overrides.vae.is_some()
            && overrides.text_encoder.is_some();
        let wanted = |path: &str| is_engine_file(path) && is_checkpoint_file(path, &overrides);
        let dir = match model {
            Some(path) => Some(local(path, &wanted, global, cancel)?),
            None if complete => None,
            None => Some(demo()?),
        };
        let mut checkpoint = Checkpoint::open(dir.as_deref(), &overrides)?;
        if let Some(path) = model {
            // A repository's id says more than its place in the cache.
            checkpoint.name = path.display().to_string();
        }
        Ok(checkpoint)
    }
}

/// A path on this machine: as it is, or after the download of the repository that it names.
pub(super) fn local(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    global: &Global,
    cancel: &Cancel,
) -> Result<PathBuf> {
    let location = match path.to_str() {
        Some(text) => Location::parse(text)?,
        None => Location::Path(path.to_owned()),
    };
    match location {
        Location::Path(path) => Ok(path),
        Location::Repo(repo) => download(&repo, wanted, global, cancel),
    }
}

fn download(
    repo: &RepoId,
    wanted: &dyn Fn(&str) -> bool,
    global: &Global,
    cancel: &Cancel,
) -> Result<PathBuf> {
    let hub = Hub::new(HubConfig {
        offline: global.offline,
        ..HubConfig::default()
    })?;
    let progress = HubProgress::new(repo, global);
    let snapshot = hub.fetch(repo, wanted, &progress, cancel)?;
    progress.finish();
    match &snapshot.license {
        Some(license) => tracing::info!("{repo}: licence {license}"),
        None => tracing::warn!("{repo} states no licence; its model card may say more"),
    }
    Ok(snapshot.dir)
}

/// The demo checkpoint: in the working directory of a clone, or beside the executable.
fn demo() -> Result<PathBuf> {
    let mut places = vec![PathBuf::from("assets/demo")];
    if let Ok(program) = std::env::current_exe() {
        // target/release/ascendit lies three levels below the clone's assets.
        let above = program.ancestors().skip(1).take(3);
        places.extend(above.flat_map(|dir| [dir.join("assets/demo"), dir.join("demo")]));
    }
    places
        .into_iter()
        .find(|dir| dir.join("model_index.json").is_file())
        .ok_or_else(|| {
            Error::request(
                "no checkpoint was given and the demo is not here; pass a directory or a hub \
                 repository with --model",
            )
        })
}
