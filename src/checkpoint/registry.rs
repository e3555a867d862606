//! From the class that a config names to the architecture.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Component, class_name, read_config};
use crate::models::{
    Denoiser, TextEncoder, VideoAutoencoder, config, open_sora_plan_v1_3, t5, wf_vae,
};
use crate::{Error, Result};

/// A component's architecture with its config.
pub type Model<M> = Arc<M>;

/// The transformer of a config.
///
/// # Errors
/// If the class is unknown, cannot be used for text to video, or its config is not supported.
pub fn transformer(path: &Path, value: &Value) -> Result<Model<dyn Denoiser>> {
    let class = class_name(value).unwrap_or("OpenSoraT2V_v1_3");
    match class {
        "OpenSoraT2V_v1_3" => Ok(Arc::new(config::parse::<open_sora_plan_v1_3::Config>(
            path, value,
        )?)),
        "OpenSoraInpaint_v1_3" => Err(Error::file(
            path,
            "is an image-to-video transformer (OpenSoraInpaint_v1_3), which generate cannot use yet; \
             verify runs it with --arch open-sora-plan-v1.3-i2v",
        )),
        _ => Err(unknown(path, "transformer", class, "OpenSoraT2V_v1_3")),
    }
}

/// The autoencoder of a config.
///
/// # Errors
/// If the class is unknown or its config is not supported.
pub fn video_autoencoder(path: &Path, value: &Value) -> Result<Model<dyn VideoAutoencoder>> {
    match class_name(value).unwrap_or("WFVAEModel") {
        "WFVAEModel" => Ok(Arc::new(config::parse::<wf_vae::Config>(path, value)?)),
        class => Err(unknown(path, "vae", class, "WFVAEModel")),
    }
}

/// The text encoder of a config. Files of the whole model (encoder and decoder) will do.
///
/// # Errors
/// If the class is unknown or its config is not supported.
pub fn text_encoder(path: &Path, value: &Value) -> Result<Model<dyn TextEncoder>> {
    const CLASSES: [&str; 4] = [
        "T5EncoderModel",
        "MT5EncoderModel",
        "T5ForConditionalGeneration",
        "MT5ForConditionalGeneration",
    ];
    match class_name(value).unwrap_or("T5EncoderModel") {
        class if CLASSES.contains(&class) => {
            Ok(Arc::new(config::parse::<t5::Config>(path, value)?))
        }
        class => Err(unknown(path, "text encoder", class, &CLASSES.join(", "))),
    }
}

fn unknown(path: &Path, role: &str, class: &str, known: &str) -> Error {
    Error::file(
        path,
        format!("unknown {role} class {class:?}; known: {known}"),
    )
}

/// Opens a component's directory.
pub(super) fn open_component<M: ?Sized>(
    role: &'static str,
    dir: &Path,
    open: fn(&Path, &Value) -> Result<Model<M>>,
) -> Result<Component<M>> {
    let (path, value) = read_config(role, dir)?;
    let class_name = class_name(&value).unwrap_or_default().to_owned();
    Ok(Component {
        role,
        dir: dir.to_owned(),
        class_name,
        model: open(&path, &value)?,
    })
}

/// Opens the transformer's directory, and says whether its size is that of the released model.
pub(super) fn open_transformer(dir: &Path) -> Result<(Component<dyn Denoiser>, bool)> {
    let component = open_component("transformer", dir, transformer)?;
    Ok((
        component,
        read_config("transformer", dir)?
            .1
            .get("caption_channels")
            .and_then(Value::as_u64)
            == Some(4096),
    ))
}
