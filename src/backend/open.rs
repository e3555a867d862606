//! Choosing and opening a device.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::reference::Reference;
use super::{Backend, Device, DeviceKind};
use crate::cancel::Cancel;
use crate::{Error, Result};

/// What opening a device may use.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// ONNX Runtime's library file.
    pub onnxruntime: Option<PathBuf>,
    /// Threads of the CPU; all cores if absent.
    pub threads: Option<NonZeroUsize>,
    /// Whether downloads are forbidden.
    pub offline: bool,
}

/// Opens a device; without a wish the best one that there is, saying which and why.
///
/// # Errors
/// If the device that was wished for cannot be used, with the reason and the remedy.
pub fn open(wish: Option<Device>, options: &Options, cancel: &Cancel) -> Result<Arc<dyn Backend>> {
    let _ = (options, cancel);
    match wish {
        Some(Device {
            kind: DeviceKind::Reference,
            ..
        })
        | None => Ok(Arc::new(Reference::new())),
        Some(device) => Err(Error::Unavailable {
            device: device.to_string(),
            what: "not there yet".into(),
        }),
    }
}
