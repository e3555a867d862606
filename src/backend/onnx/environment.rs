//! The one ONNX Runtime of the process: the library, its threads and its memory on the host.
//!
//! The library can be loaded once per process, so all backends share one environment. Its threads
//! and its host arena serve all sessions: a program has a session per kind of segment, and threads
//! or memory of their own would add up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::AsPointer;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use crate::backend::Device;
use crate::{Error, Result};

/// What the process has loaded.
#[derive(Clone)]
struct Loaded {
    library: PathBuf,
    threads: usize,
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The environment of the process, made on the first call.
///
/// # Errors
/// If the library cannot be loaded, is too old, or is another one than was loaded before.
pub(super) fn environment(device: Device, library: &Path, threads: usize) -> Result<Environment> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let unavailable = |what: String| Error::Unavailable {
        device: device.to_string(),
        what,
    };
    if let Some(before) = &*loaded {
        if before.library != library {
            return Err(unavailable(format!(
                "cannot load ONNX Runtime from {}: this process has loaded it from {}",
                library.display(),
                before.library.display()
            )));
        }
        if before.threads != threads {
            return Err(unavailable(format!(
                "cannot use {threads} threads: ONNX Runtime runs with {} in this process",
                before.threads
            )));
        }
        return Ok(before.environment.clone());
    }
    let environment = load(library, threads).map_err(|why| {
        unavailable(format!(
            "cannot use ONNX Runtime from {}: {why}",
            library.display()
        ))
    })?;
    *loaded = Some(Loaded {
        library: library.to_owned(),
        threads,
        environment: environment.clone(),
    });
    Ok(environment)
}

fn load(library: &Path, threads: usize) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|e| e.to_string())?;
    create(builder, threads).map_err(|e| e.to_string())
}

fn create(
    builder: ort::environment::EnvironmentBuilder,
    threads: usize,
) -> ort::Result<Environment> {
    let pool = GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_spin_control(false)?;
    let environment = builder
        .with_name("ascendit")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .with_logger(Arc::new(|level, category, _, place, message| {
            // What fails comes back as an error as well; the rest is for whoever looks.
            match level {
                LogLevel::Verbose | LogLevel::Info => {
                    tracing::trace!(category, place, "{message}");
                }
                _ => tracing::debug!(category, place, "{message}"),
            }
        }))
        .build()?;
    environment.set_log_level(LogLevel::Warning);
    share_host_arena(&environment)?;
    Ok(environment)
}

/// Registers one arena of host memory for all sessions.
fn share_host_arena(environment: &Environment) -> ort::Result<()> {
    /// Memory is taken from the system in the sizes that are asked for, not in powers of two.
    const SAME_AS_REQUESTED: i32 = 1;
    const DEFAULT: i32 = -1;
    let memory = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Arena,
        MemoryType::Default,
    )?;
    let api = ort::api();
    let mut settings = std::ptr::null_mut();
    // SAFETY: the pointers are to a place on the stack and to live objects of this library; the
    // settings are copied by the call that takes them and released once.
    unsafe {
        let made = (api.CreateArenaCfg)(0, SAME_AS_REQUESTED, DEFAULT, DEFAULT, &raw mut settings);
        ort::Error::result_from_status(made)?;
        let registered =
            (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), settings);
        (api.ReleaseArenaCfg)(settings);
        ort::Error::result_from_status(registered)
    }
}
