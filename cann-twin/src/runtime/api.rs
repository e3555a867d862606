//! Start and end, versions, devices, contexts and allocations.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use cann_sys::{
    ACL_DEVICE_INFO_AI_CORE_NUM, ACL_DEVICE_INFO_L2_SIZE, ACL_DEVICE_INFO_VECTOR_CORE_NUM,
    ACL_PKG_NAME_DRIVER, aclCANNPackageName, aclCANNPackageVersion, aclDeviceInfo, aclError,
    aclrtContext, aclrtMemAttr, aclrtMemMallocPolicy,
};

use super::{CURRENT, Runtime, chip, memory_bytes, ready, runtime, visible_devices};
use crate::error::{
    Failure, INVALID_PARAM, Outcome, REPEAT_FINALIZE, REPEAT_INITIALIZE, RT_CONTEXT_NULL,
    RT_INTERNAL_ERROR, RT_MEMORY_ALLOCATION, RT_PARAM_INVALID, answer,
};
use crate::fault;

/// Whether there is a place for a result; asked before anything is made that would be lost without one.
pub(crate) fn room<T>(to: *mut T) -> Outcome {
    match to.is_null() {
        true => Err(Failure::new(
            RT_PARAM_INVALID,
            "a pointer for a result is null",
        )),
        false => Ok(()),
    }
}

/// Writes a result, if there is a place for it.
///
/// # Safety
/// `to` is null or valid to write.
pub(crate) unsafe fn write<T>(to: *mut T, value: T) -> Outcome {
    room(to)?;
    // SAFETY: not null, so valid, as the caller promises.
    unsafe { to.write(value) };
    Ok(())
}

fn unless(kind: &str) -> Outcome {
    match fault::hits(kind) {
        true => Err(Failure::new(
            RT_INTERNAL_ERROR,
            format!("{kind} fails on demand"),
        )),
        false => Ok(()),
    }
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclInit(_config: *const c_char) -> aclError {
    answer(
        "aclInit",
        (|| {
            unless("init")?;
            let mut held = runtime();
            if held.initialized {
                return Err(Failure::new(REPEAT_INITIALIZE, "aclInit was called before"));
            }
            held.initialized = true;
            Ok(())
        })(),
    )
}

/// See the documentation of CANN. What is still there is reported on stderr.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclFinalize() -> aclError {
    answer(
        "aclFinalize",
        (|| {
            let mut held = runtime();
            if !held.initialized {
                return Err(Failure::new(REPEAT_FINALIZE, "aclInit was not called"));
            }
            held.initialized = false;
            drop(held);
            crate::report_leaks();
            Ok(())
        })(),
    )
}

/// The version of CANN that is claimed.
fn claimed() -> (i32, i32) {
    fault::version().unwrap_or((8, 1))
}

/// See the documentation of CANN.
///
/// # Safety
/// `version` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclsysGetCANNVersion(
    name: aclCANNPackageName,
    version: *mut aclCANNPackageVersion,
) -> aclError {
    let (major, minor) = claimed();
    let text = match name {
        ACL_PKG_NAME_DRIVER => "25.0.rc1".to_owned(),
        _ => format!("{major}.{minor}.RC1"),
    };
    fn fill<const N: usize>(text: &str) -> [c_char; N] {
        let mut bytes = [0; N];
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(N - 1)) {
            *to = from as c_char;
        }
        bytes
    }
    let mut parts = text.split('.');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (first, second, third) = (part(), part(), part());
    let filled = aclCANNPackageVersion {
        version: fill(&text),
        majorVersion: fill(&first),
        minorVersion: fill(&second),
        releaseVersion: fill(&third),
        patchVersion: fill(""),
        reserved: fill(""),
    };
    // SAFETY: the caller's promise.
    answer("aclsysGetCANNVersion", unsafe { write(version, filled) })
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtGetSocName() -> *const c_char {
    static NAME: OnceLock<std::ffi::CString> = OnceLock::new();
    let name = NAME.get_or_init(|| std::ffi::CString::new(chip::name()).unwrap_or_default());
    CStr::as_ptr(name)
}

/// See the documentation of CANN.
///
/// # Safety
/// `value` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclGetDeviceCapability(
    device: u32,
    info: aclDeviceInfo,
    value: *mut i64,
) -> aclError {
    let outcome = (|| {
        Runtime::check_device(i32::try_from(device).unwrap_or(i32::MAX))?;
        let number = match info {
            ACL_DEVICE_INFO_AI_CORE_NUM => chip::chip().cube_cores,
            ACL_DEVICE_INFO_VECTOR_CORE_NUM => 2 * chip::chip().cube_cores,
            ACL_DEVICE_INFO_L2_SIZE => chip::chip().l2_bytes,
            _ => return Err(Failure::new(INVALID_PARAM, "there is no such information")),
        };
        // SAFETY: the caller's promise.
        unsafe { write(value, number) }
    })();
    answer("aclGetDeviceCapability", outcome)
}

/// See the documentation of CANN.
///
/// # Safety
/// `count` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtGetDeviceCount(count: *mut u32) -> aclError {
    // SAFETY: the caller's promise.
    let outcome = ready().and_then(|_| unsafe { write(count, visible_devices() as u32) });
    answer("aclrtGetDeviceCount", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtSetDevice(device: i32) -> aclError {
    answer(
        "aclrtSetDevice",
        (|| {
            let mut held = ready()?;
            let device = Runtime::check_device(device)?;
            unless("setdevice")?;
            *held.devices.entry(device).or_default() += 1;
            let context = match held.defaults.get(&device) {
                Some(context) => *context,
                None => {
                    let context = held.handle();
                    held.contexts.insert(context, device);
                    held.defaults.insert(device, context);
                    context
                }
            };
            CURRENT.set(context);
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtResetDevice(device: i32) -> aclError {
    answer(
        "aclrtResetDevice",
        (|| {
            let mut held = runtime();
            let device = Runtime::check_device(device)?;
            match held.devices.get_mut(&device) {
                Some(users) if *users > 1 => *users -= 1,
                Some(_) => {
                    held.devices.remove(&device);
                    if let Some(context) = held.defaults.remove(&device) {
                        held.contexts.remove(&context);
                    }
                }
                None => {
                    let text = format!("device {device} is not in use");
                    return Err(Failure::new(RT_PARAM_INVALID, text));
                }
            }
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// The pointers are null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtGetMemInfo(
    _attr: aclrtMemAttr,
    free: *mut usize,
    total: *mut usize,
) -> aclError {
    let outcome = (|| {
        let held = ready()?;
        let (_, device) = held.current()?;
        let all = memory_bytes();
        // SAFETY: the caller's promise.
        unsafe {
            write(free, all.saturating_sub(held.heap.used(device)))?;
            write(total, all)
        }
    })();
    answer("aclrtGetMemInfo", outcome)
}

/// See the documentation of CANN.
///
/// # Safety
/// `context` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtCreateContext(
    context: *mut aclrtContext,
    device: i32,
) -> aclError {
    let outcome = (|| {
        let mut held = ready()?;
        let device = Runtime::check_device(device)?;
        unless("context")?;
        let handle = held.handle();
        // SAFETY: the caller's promise.
        unsafe { write(context, handle as aclrtContext)? };
        held.contexts.insert(handle, device);
        CURRENT.set(handle);
        Ok(())
    })();
    answer("aclrtCreateContext", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtDestroyContext(context: aclrtContext) -> aclError {
    let outcome = match runtime().contexts.remove(&(context as usize)) {
        Some(_) => Ok(()),
        None => Err(Failure::new(RT_CONTEXT_NULL, "there is no such context")),
    };
    answer("aclrtDestroyContext", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtSetCurrentContext(context: aclrtContext) -> aclError {
    answer(
        "aclrtSetCurrentContext",
        (|| {
            let held = ready()?;
            match held.contexts.contains_key(&(context as usize)) {
                true => CURRENT.set(context as usize),
                false => return Err(Failure::new(RT_CONTEXT_NULL, "there is no such context")),
            }
            Ok(())
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `address` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtMalloc(
    address: *mut *mut c_void,
    bytes: usize,
    _policy: aclrtMemMallocPolicy,
) -> aclError {
    let outcome = (|| {
        let mut held = ready()?;
        let (_, device) = held.current()?;
        if bytes == 0 {
            return Err(Failure::new(RT_PARAM_INVALID, "0 bytes were asked for"));
        }
        room(address)?;
        if fault::hits("malloc") {
            let text = format!("out of memory on demand: {bytes} bytes asked for");
            return Err(Failure::new(RT_MEMORY_ALLOCATION, text));
        }
        let block = held.heap.alloc(device, bytes, memory_bytes())?;
        // SAFETY: the caller's promise.
        unsafe { write(address, block as *mut c_void) }
    })();
    answer("aclrtMalloc", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtFree(address: *mut c_void) -> aclError {
    let freed = runtime().heap.free(address as usize);
    answer(
        "aclrtFree",
        match freed {
            true => Ok(()),
            false => Err(Failure::new(
                RT_PARAM_INVALID,
                "no allocation of a device begins there",
            )),
        },
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `address` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtMallocHost(
    address: *mut *mut c_void,
    bytes: usize,
) -> aclError {
    let outcome = (|| {
        let mut held = ready()?;
        held.current()?;
        if bytes == 0 {
            return Err(Failure::new(RT_PARAM_INVALID, "0 bytes were asked for"));
        }
        room(address)?;
        if fault::hits("hostmem") {
            let text = format!("out of pinned memory on demand: {bytes} bytes asked for");
            return Err(Failure::new(RT_MEMORY_ALLOCATION, text));
        }
        let pinned = held.heap.pin(bytes)?;
        // SAFETY: the caller's promise.
        unsafe { write(address, pinned as *mut c_void) }
    })();
    answer("aclrtMallocHost", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtFreeHost(address: *mut c_void) -> aclError {
    let freed = runtime().heap.unpin(address as usize);
    answer(
        "aclrtFreeHost",
        match freed {
            true => Ok(()),
            false => Err(Failure::new(
                RT_PARAM_INVALID,
                "no pinned memory begins there",
            )),
        },
    )
}
