//! Choosing and opening a device.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::cann::CannBackend;
use super::onnx::cuda::CudaEnv;
use super::onnx::library::{self, FindError, Found, Provider, SearchEnv};
use super::onnx::setup::Setup;
use super::onnx::{OnnxBackend, OnnxOptions};
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
    /// Whether CANN's devices use CANN's operators only, and no kernels of our own.
    pub no_kernels: bool,
}

/// Opens a device; without a wish the best one that there is, saying which and why.
///
/// Where ONNX Runtime is needed and not found, the official library is downloaded into the cache
/// first, unless that is forbidden.
///
/// # Errors
/// If the device that was wished for cannot be used, with the reason and the remedy. Without a wish,
/// only if the user named a library that cannot be used, or cancels.
pub fn open(wish: Option<Device>, options: &Options, cancel: &Cancel) -> Result<Arc<dyn Backend>> {
    match wish {
        Some(Device {
            kind: DeviceKind::Reference,
            ..
        }) => Ok(Arc::new(Reference::new())),
        Some(
            device @ Device {
                kind: DeviceKind::Cann | DeviceKind::Twin,
                ..
            },
        ) => Ok(Arc::new(CannBackend::open(device, !options.no_kernels)?)),
        Some(device) => open_onnx(device, options, cancel),
        None => best(options, cancel),
    }
}

/// `cann:0` where CANN and a card are there, else `cuda:0` where a library with the provider and all
/// that it needs are there, else `cpu`, else `reference`. Never the twin.
fn best(options: &Options, cancel: &Cancel) -> Result<Arc<dyn Backend>> {
    let cann = Device {
        kind: DeviceKind::Cann,
        ordinal: 0,
    };
    match CannBackend::open(cann, !options.no_kernels) {
        Ok(backend) => return Ok(Arc::new(backend)),
        Err(why) => tracing::debug!("{cann} is not used: {why}"),
    }
    let cuda = Device {
        kind: DeviceKind::Cuda,
        ordinal: 0,
    };
    match present_cuda(cuda, options) {
        Ok(backend) => return Ok(backend),
        Err(why) => tracing::debug!("{cuda} is not used: {why}"),
    }
    match open_onnx(Device::CPU, options, cancel) {
        Ok(backend) => Ok(backend),
        Err(Error::Cancelled) => Err(Error::Cancelled),
        Err(error)
            if options.onnxruntime.is_some() || std::env::var_os("ORT_DYLIB_PATH").is_some() =>
        {
            Err(error)
        }
        Err(error) => {
            tracing::warn!("using the slow reference device: {error}");
            Ok(Arc::new(Reference::new()))
        }
    }
}

fn present_cuda(device: Device, options: &Options) -> Result<Arc<dyn Backend>, String> {
    // Looking for the driver first is quick; most machines have none.
    let report = CudaEnv::from_env().look();
    if !report.is_complete() {
        return Err(report.to_string());
    }
    let found = library::find(
        options.onnxruntime.as_deref(),
        Provider::Cuda,
        &SearchEnv::from_env(),
    )
    .map_err(|e| e.to_string())?;
    start(device, &found, options).map_err(|e| e.to_string())
}

fn open_onnx(device: Device, options: &Options, cancel: &Cancel) -> Result<Arc<dyn Backend>> {
    let provider = match device.kind {
        DeviceKind::Cuda => Provider::Cuda,
        _ => Provider::Cpu,
    };
    let found = match library::find(
        options.onnxruntime.as_deref(),
        provider,
        &SearchEnv::from_env(),
    ) {
        Ok(found) => found,
        // A GPU library is a quarter of a gigabyte: only `setup --cuda` gets it.
        Err(FindError::NotFound(_)) if provider == Provider::Cpu && !options.offline => {
            download(provider, cancel)?
        }
        Err(error) => return Err(error.into()),
    };
    tracing::debug!(
        "ONNX Runtime {} at {} ({})",
        found.version,
        found.path.display(),
        found.origin
    );
    start(device, &found, options)
}

fn start(device: Device, found: &Found, options: &Options) -> Result<Arc<dyn Backend>> {
    if device.kind == DeviceKind::Cuda {
        CudaEnv::from_env().look().preload()?;
    }
    let threads = options.threads.map(NonZeroUsize::get);
    let backend = OnnxBackend::new(
        device,
        &found.path,
        &OnnxOptions {
            threads,
            ..OnnxOptions::default()
        },
    )?;
    Ok(Arc::new(backend))
}

fn download(provider: Provider, cancel: &Cancel) -> Result<Found> {
    let setup = Setup::from_env(provider)?;
    tracing::info!(
        "ONNX Runtime was not found; getting {} ({}) with pip, once",
        setup.wheel.file_name(),
        crate::disk::size_text(setup.wheel.size_bytes)
    );
    let path = setup.run(&|progress| tracing::debug!("{progress:?}"), cancel)?;
    let env = SearchEnv {
        ort_dylib_path: None,
        ..SearchEnv::from_env()
    };
    Ok(library::find(Some(&path), Provider::Cpu, &env)?)
}
