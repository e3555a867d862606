//! Profiles: launches and how long they took, as JSON lines.

use std::collections::HashSet;
use std::ffi::c_char;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use cann_sys::{aclError, aclprofAicoreEvents, aclprofAicoreMetrics, aclprofConfig};

use super::runtime;
use crate::error::{Failure, INVALID_PARAM, Outcome, PROF_NOT_RUN, answer, note};
use crate::log;

/// What profiling knows.
#[derive(Default)]
pub(crate) struct Profiles {
    /// Where launches go, between `aclprofInit` and `aclprofFinalize`.
    path: Option<PathBuf>,
    running: bool,
    configs: HashSet<usize>,
}

impl Profiles {
    pub(crate) fn configs(&self) -> usize {
        self.configs.len()
    }

    fn check(&self, config: *const aclprofConfig) -> Outcome {
        match self.configs.contains(&(config as usize)) {
            true => Ok(()),
            false => Err(Failure::new(INVALID_PARAM, "there is no such config")),
        }
    }
}

/// See the documentation of CANN. Launches are written to `launches.jsonl` in the folder.
///
/// # Safety
/// `folder` is null or valid for `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclprofInit(folder: *const c_char, length: usize) -> aclError {
    answer(
        "aclprofInit",
        (|| {
            if folder.is_null() || length == 0 {
                return Err(Failure::new(INVALID_PARAM, "there is no folder"));
            }
            // SAFETY: the caller's promise.
            let bytes = unsafe { std::slice::from_raw_parts(folder.cast::<u8>(), length) };
            let folder = String::from_utf8_lossy(bytes).into_owned();
            let folder = Path::new(folder.trim_end_matches('\0'));
            if !folder.is_dir() {
                let text = format!("{} is no folder", folder.display());
                return Err(Failure::new(INVALID_PARAM, text));
            }
            runtime().profiles.path = Some(folder.join("launches.jsonl"));
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofFinalize() -> aclError {
    let mut held = runtime();
    held.profiles.running = false;
    let begun = held.profiles.path.take().is_some();
    log::profile_to(None);
    answer(
        "aclprofFinalize",
        match begun {
            true => Ok(()),
            false => Err(Failure::new(PROF_NOT_RUN, "aclprofInit was not called")),
        },
    )
}

/// See the documentation of CANN. A file that is there is begun anew.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofStart(config: *const aclprofConfig) -> aclError {
    answer(
        "aclprofStart",
        (|| {
            let mut held = runtime();
            held.profiles.check(config)?;
            let Some(path) = held.profiles.path.clone() else {
                return Err(Failure::new(PROF_NOT_RUN, "aclprofInit was not called"));
            };
            let file = File::create(&path)
                .map_err(|e| Failure::new(INVALID_PARAM, format!("{}: {e}", path.display())))?;
            log::profile_to(Some(file));
            held.profiles.running = true;
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofStop(config: *const aclprofConfig) -> aclError {
    answer(
        "aclprofStop",
        (|| {
            let mut held = runtime();
            held.profiles.check(config)?;
            log::profile_to(None);
            match std::mem::take(&mut held.profiles.running) {
                true => Ok(()),
                false => Err(Failure::new(PROF_NOT_RUN, "aclprofStart was not called")),
            }
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofCreateConfig(
    devices: *mut u32,
    count: u32,
    _metrics: aclprofAicoreMetrics,
    _events: *const aclprofAicoreEvents,
    _kinds: u64,
) -> *mut aclprofConfig {
    if devices.is_null() || count == 0 {
        note("aclprofCreateConfig", INVALID_PARAM, "there are no devices");
        return null_mut();
    }
    let mut held = runtime();
    let handle = held.handle();
    held.profiles.configs.insert(handle);
    handle as *mut aclprofConfig
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofDestroyConfig(config: *const aclprofConfig) -> aclError {
    let mut held = runtime();
    let checked = held.profiles.check(config);
    held.profiles.configs.remove(&(config as usize));
    answer("aclprofDestroyConfig", checked)
}
