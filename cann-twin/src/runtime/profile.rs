//! Profiling, as libmsprofiler has it: launches with their times on this CPU.

use std::ffi::c_char;
use std::path::Path;
use std::ptr::null_mut;

use cann_sys::{aclError, aclprofAicoreEvents, aclprofAicoreMetrics, aclprofConfig};

use crate::error::{Failure, INVALID_PARAM, answer};

/// See the documentation of CANN. Launches are written to `launches.jsonl` in the folder.
///
/// # Safety
/// `folder` is valid for `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclprofInit(folder: *const c_char, length: usize) -> aclError {
    answer(
        "aclprofInit",
        (|| {
            if folder.is_null() {
                return Err(Failure::new(INVALID_PARAM, "the folder is a null pointer"));
            }
            // SAFETY: the caller's promise.
            let bytes = unsafe { std::slice::from_raw_parts(folder.cast::<u8>(), length) };
            let folder = String::from_utf8_lossy(bytes).into_owned();
            let path = Path::new(folder.trim_end_matches('\0')).join("launches.jsonl");
            *profile_path() = Some(path);
            Ok(())
        })(),
    )
}

fn profile_path() -> std::sync::MutexGuard<'static, Option<std::path::PathBuf>> {
    static PATH: std::sync::Mutex<Option<std::path::PathBuf>> = std::sync::Mutex::new(None);
    PATH.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofFinalize() -> aclError {
    *profile_path() = None;
    crate::log::profile_to(None);
    0
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofStart(config: *const aclprofConfig) -> aclError {
    answer(
        "aclprofStart",
        (|| {
            if config.is_null() {
                return Err(Failure::new(INVALID_PARAM, "the config is a null pointer"));
            }
            let Some(path) = profile_path().clone() else {
                return Err(Failure::new(INVALID_PARAM, "aclprofInit was not called"));
            };
            let file = std::fs::File::create(&path)
                .map_err(|e| Failure::new(INVALID_PARAM, format!("{}: {e}", path.display())))?;
            crate::log::profile_to(Some(file));
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofStop(_config: *const aclprofConfig) -> aclError {
    crate::log::profile_to(None);
    0
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclprofCreateConfig(
    devices: *mut u32,
    count: u32,
    _metrics: aclprofAicoreMetrics,
    _events: *const aclprofAicoreEvents,
    kinds: u64,
) -> *mut aclprofConfig {
    match devices.is_null() || count == 0 {
        true => null_mut(),
        false => Box::into_raw(Box::new(kinds)).cast(),
    }
}

/// See the documentation of CANN.
///
/// # Safety
/// The config was made by [`aclprofCreateConfig`] and not destroyed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclprofDestroyConfig(config: *const aclprofConfig) -> aclError {
    if !config.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(config.cast_mut().cast::<u64>()) });
    }
    0
}
