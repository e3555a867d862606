//! `ascendit devices`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Global;
use super::output::{print, print_json, table};
use crate::backend::onnx::cuda::CudaEnv;
use crate::backend::onnx::library::{self, FindError, Provider, SearchEnv};
use crate::backend::{Device, DeviceInfo, DeviceKind, open};
use crate::cancel::Cancel;
use crate::disk::size_text;
use crate::{Error, Result, machine};

#[derive(Args)]
pub(super) struct DevicesArgs {
    /// ONNX Runtime's library file (version 1.24 or later), for cpu and cuda.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Threads of the cpu device, 1 to 1024; all cores if absent.
    #[arg(long, value_name = "N", value_parser = super::threads)]
    threads: Option<NonZeroUsize>,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
}

/// A device, there or not.
#[derive(Serialize)]
struct Row {
    device: String,
    available: bool,
    /// What it is, or why it is not there and how to get it.
    description: String,
    memory_bytes: Option<u64>,
}

/// Runs the command and returns the exit code. Nothing is downloaded.
pub(super) fn run(args: &DevicesArgs, _: &Global, cancel: &Cancel) -> Result<u8> {
    let options = open::Options {
        onnxruntime: args.onnxruntime.clone(),
        threads: args.threads,
        offline: true,
        no_kernels: false,
    };
    let look = |device: Device| {
        if let Some(why) = absent_library(device, args.onnxruntime.as_deref()) {
            return Ok(Row::absent(device, why));
        }
        match open::open(Some(device), &options, cancel) {
            Ok(backend) => Ok(Row::of(backend.info())),
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => Ok(Row::failed(device, &error)),
        }
    };
    let mut rows = vec![look(Device::REFERENCE)?, look(Device::CPU)?];
    for kind in [DeviceKind::Cuda, DeviceKind::Cann, DeviceKind::Twin] {
        for ordinal in 0.. {
            cancel.check()?;
            let row = look(Device { kind, ordinal })?;
            // That there is no card after the last one is no news.
            if ordinal > 0 && !row.available {
                break;
            }
            let last = !row.available;
            rows.push(row);
            if last {
                break;
            }
        }
    }
    if args.json {
        print_json(&rows)?;
        return Ok(0);
    }
    let head = ["device", "memory", "what"].map(str::to_owned).to_vec();
    let lines = rows.iter().map(|row| {
        let memory = match (row.available, row.memory_bytes) {
            (false, _) => "not there".to_owned(),
            (true, Some(bytes)) => size_text(bytes),
            (true, None) => "unknown".to_owned(),
        };
        vec![row.device.clone(), memory, row.description.clone()]
    });
    let rows: Vec<_> = std::iter::once(head).chain(lines).collect();
    print(&table(&rows))?;
    Ok(0)
}

impl Row {
    fn of(info: &DeviceInfo) -> Self {
        let mut description = info.description.clone();
        let mut memory_bytes = info.memory_bytes;
        if matches!(info.device.kind, DeviceKind::Cann | DeviceKind::Twin) {
            // CANN counts only the devices that it lists.
            if let Ok(list) = std::env::var("ASCEND_RT_VISIBLE_DEVICES") {
                description += &format!(
                    ", number {} of ASCEND_RT_VISIBLE_DEVICES={list}",
                    info.device.ordinal
                );
            }
        }
        if info.device.kind.on_host() {
            let memory = machine::memory();
            memory_bytes = memory
                .and_then(|memory| memory.available_bytes)
                .or(memory_bytes);
            let name = machine::cpu_name().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
            description += &format!(" on {name}, {} cores", machine::cores());
            if let Some(memory) = memory {
                description += &format!(", {} of memory in all", size_text(memory.total_bytes));
            }
        }
        Self {
            device: info.device.to_string(),
            available: true,
            description,
            memory_bytes,
        }
    }

    fn absent(device: Device, why: String) -> Self {
        Self {
            device: device.to_string(),
            available: false,
            description: why,
            memory_bytes: None,
        }
    }

    fn failed(device: Device, error: &Error) -> Self {
        let text = super::logging::chain(error);
        // The message begins with the device or its kind, which the line does already.
        let whole = device.to_string();
        let kind = whole.split(':').next().unwrap_or(&whole);
        let why = [whole.as_str(), kind]
            .iter()
            .find_map(|name| text.strip_prefix(&format!("{name}: ")))
            .unwrap_or(&text)
            .to_owned();
        Self::absent(device, why)
    }
}

/// Why a device is not there, in a line, where that is because libraries are missing.
fn absent_library(device: Device, named: Option<&Path>) -> Option<String> {
    let (provider, what, setup) = match device.kind {
        DeviceKind::Reference | DeviceKind::Cann | DeviceKind::Twin => return None,
        DeviceKind::Cpu => (Provider::Cpu, "ONNX Runtime", "ascendit setup"),
        DeviceKind::Cuda => (
            Provider::Cuda,
            "ONNX Runtime with its CUDA provider",
            "ascendit setup --cuda",
        ),
    };
    if provider == Provider::Cuda {
        let report = CudaEnv::from_env().look();
        if let Some(first) = report.missing.first() {
            let more = match report.missing.len() - 1 {
                0 => String::new(),
                n => format!(" and {n} more libraries"),
            };
            return Some(format!(
                "{}{more} missing: {}; `{setup}` lists all that is missing",
                first.name, first.remedy
            ));
        }
    }
    match library::find(named, provider, &SearchEnv::from_env()) {
        Err(FindError::NotFound(not_found)) => Some(format!(
            "{what} was not found in any of {} places (`ascendit setup --help` names them); run \
             `{setup}` to get it, or give a library with --onnxruntime",
            not_found.tried.len()
        )),
        _ => None,
    }
}
