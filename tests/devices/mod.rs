//! The backends that tests run on: all that this machine has.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::path::PathBuf;

use ascendit::backend::cann::CannBackend;
use ascendit::backend::onnx::library::{Provider, SearchEnv, find};
use ascendit::backend::onnx::{OnnxBackend, OnnxOptions};
use ascendit::backend::reference::Reference;
use ascendit::backend::{Backend, Device, DeviceKind};

/// ONNX Runtime's library, found as the program finds it.
fn library(device: Device) -> Result<PathBuf, String> {
    let provider = match device.kind {
        DeviceKind::Cuda => Provider::Cuda,
        _ => Provider::Cpu,
    };
    find(None, provider, &SearchEnv::from_env())
        .map(|found| found.path)
        .map_err(|e| e.to_string())
}

/// A device's backend with the options that a test wants.
pub(crate) fn onnx(device: Device, options: &OnnxOptions) -> Result<OnnxBackend, String> {
    OnnxBackend::new(device, &library(device)?, options).map_err(|e| e.to_string())
}

/// All backends. Absent ones are said; `REQUIRE_BACKENDS=reference,cpu` makes them a failure.
pub(crate) fn available() -> Vec<Box<dyn Backend>> {
    let mut found: Vec<Box<dyn Backend>> = vec![Box::new(Reference::new())];
    for device in [Device::CPU, "cuda".parse().expect("a device")] {
        match onnx(device, &OnnxOptions::default()) {
            Ok(backend) => found.push(Box::new(backend)),
            Err(why) => skip(&device.to_string(), &why),
        }
    }
    // Kernels of our own compute in 16 bits; tests of those ask for them.
    found.extend(twin(false).map(|backend| Box::new(backend) as Box<dyn Backend>));
    found
}

/// The twin of an Ascend card, where it is built; with our own kernels or with CANN's operators alone.
pub(crate) fn twin(kernels: bool) -> Option<CannBackend> {
    let device = "twin".parse().expect("a device");
    CannBackend::open(device, kernels)
        .map_err(|why| skip("twin", &why.to_string()))
        .ok()
}

/// Says that a backend is absent, or fails where it is required.
pub(crate) fn skip(name: &str, why: &str) {
    let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
    let is_required = required.split(',').any(|r| r.trim() == name);
    assert!(!is_required, "{name} is required: {why}");
    eprintln!("skipped: {name} ({why})");
}
