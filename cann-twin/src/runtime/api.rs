//! Start and end, devices, contexts, allocations, streams and events.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cann_sys::{
    ACL_DEVICE_INFO_AI_CORE_NUM, ACL_DEVICE_INFO_L2_SIZE, ACL_DEVICE_INFO_VECTOR_CORE_NUM,
    ACL_EVENT_RECORDED_STATUS_COMPLETE, ACL_EVENT_RECORDED_STATUS_NOT_READY, ACL_PKG_NAME_DRIVER,
    aclCANNPackageName, aclCANNPackageVersion, aclDeviceInfo, aclError, aclrtContext, aclrtEvent,
    aclrtEventRecordedStatus, aclrtMemAttr, aclrtMemMallocPolicy, aclrtStream,
};

use super::stream::{Event, Stream};
use super::{CURRENT, Runtime, memory_bytes, ready, runtime, visible_devices};
use crate::error::{
    Failure, INVALID_PARAM, Outcome, REPEAT_FINALIZE, REPEAT_INITIALIZE, RT_CONTEXT_NULL,
    RT_INTERNAL_ERROR, RT_MEMORY_ALLOCATION, RT_PARAM_INVALID, RT_RESOURCE_ALLOC_FAIL, answer,
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
            held.finalized = false;
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
            held.finalized = true;
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
/// The pointers are null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtGetVersion(
    major: *mut i32,
    minor: *mut i32,
    patch: *mut i32,
) -> aclError {
    // The runtime's own version, which is another than that of CANN.
    let parts = [(major, 1), (minor, 14), (patch, 0)];
    // SAFETY: the caller's promise.
    let written = parts
        .into_iter()
        .try_for_each(|(to, n)| unsafe { write(to, n) });
    answer("aclrtGetVersion", written)
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

/// See the documentation of CANN. `ASCENDIT_TWIN_SOC` names another chip.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtGetSocName() -> *const c_char {
    static NAME: OnceLock<std::ffi::CString> = OnceLock::new();
    let name = || std::env::var("ASCENDIT_TWIN_SOC").unwrap_or_else(|_| "Ascend910B2".into());
    let name = NAME.get_or_init(|| std::ffi::CString::new(name()).unwrap_or_default());
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
            ACL_DEVICE_INFO_AI_CORE_NUM => 24,
            ACL_DEVICE_INFO_VECTOR_CORE_NUM => 48,
            ACL_DEVICE_INFO_L2_SIZE => 192 << 20,
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
    answer(
        "aclrtDestroyContext",
        (|| {
            let handle = context as usize;
            let mut held = runtime();
            if held.defaults.values().any(|default| *default == handle) {
                let text = "a default context goes with aclrtResetDevice";
                return Err(Failure::new(RT_CONTEXT_NULL, text));
            }
            match held.contexts.remove(&handle) {
                Some(_) => Ok(()),
                None => Err(Failure::new(RT_CONTEXT_NULL, "there is no such context")),
            }
        })(),
    )
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
/// `context` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtGetCurrentContext(context: *mut aclrtContext) -> aclError {
    let outcome = ready().and_then(|held| {
        let (handle, _) = held.current()?;
        // SAFETY: the caller's promise.
        unsafe { write(context, handle as aclrtContext) }
    });
    answer("aclrtGetCurrentContext", outcome)
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

/// See the documentation of CANN.
///
/// # Safety
/// `stream` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtCreateStream(stream: *mut aclrtStream) -> aclError {
    let outcome = (|| {
        let mut held = ready()?;
        let (context, device) = held.current()?;
        if fault::hits("stream") {
            return Err(Failure::new(
                RT_RESOURCE_ALLOC_FAIL,
                "no stream is left, on demand",
            ));
        }
        room(stream)?;
        let made = Stream::new(device, context)?;
        let handle = held.handle();
        held.streams.insert(handle, made);
        // SAFETY: the caller's promise.
        unsafe { write(stream, handle as aclrtStream) }
    })();
    answer("aclrtCreateStream", outcome)
}

fn destroy(stream: aclrtStream, abort: bool) -> Outcome {
    let removed = {
        let mut held = runtime();
        held.streams.remove(&(stream as usize))
    };
    let Some(stream) = removed else {
        return Err(Failure::new(RT_PARAM_INVALID, "there is no such stream"));
    };
    match abort {
        true => stream.abort(),
        // A failure was told before; what is left is thrown away.
        false => drop(stream.synchronize(None)),
    }
    stream.close();
    Ok(())
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtDestroyStream(stream: aclrtStream) -> aclError {
    answer("aclrtDestroyStream", destroy(stream, false))
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtDestroyStreamForce(stream: aclrtStream) -> aclError {
    answer("aclrtDestroyStreamForce", destroy(stream, true))
}

fn synchronize(stream: aclrtStream, limit: Option<Duration>) -> Outcome {
    let stream = runtime_stream(stream)?;
    stream.synchronize(limit)?;
    match fault::is_lost() {
        true => Err(Failure::new(
            crate::error::RT_DEVICE_LOST,
            "the device is lost",
        )),
        false => Ok(()),
    }
}

fn runtime_stream(stream: aclrtStream) -> Outcome<Arc<Stream>> {
    runtime().stream(stream)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtSynchronizeStream(stream: aclrtStream) -> aclError {
    answer("aclrtSynchronizeStream", synchronize(stream, None))
}

/// See the documentation of CANN. A time below 0 is none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtSynchronizeStreamWithTimeout(
    stream: aclrtStream,
    ms: i32,
) -> aclError {
    let limit = u64::try_from(ms).ok().map(Duration::from_millis);
    answer(
        "aclrtSynchronizeStreamWithTimeout",
        synchronize(stream, limit),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtStreamAbort(stream: aclrtStream) -> aclError {
    let outcome = runtime_stream(stream).map(|stream| stream.abort());
    answer("aclrtStreamAbort", outcome)
}

/// See the documentation of CANN.
///
/// # Safety
/// `event` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtCreateEventWithFlag(
    event: *mut aclrtEvent,
    _flag: u32,
) -> aclError {
    let outcome = (|| {
        let mut held = ready()?;
        held.current()?;
        if fault::hits("event") {
            return Err(Failure::new(
                RT_RESOURCE_ALLOC_FAIL,
                "no event is left, on demand",
            ));
        }
        let handle = held.handle();
        // SAFETY: the caller's promise.
        unsafe { write(event, handle as aclrtEvent)? };
        held.events.insert(handle, Arc::new(Event::default()));
        Ok(())
    })();
    answer("aclrtCreateEventWithFlag", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtDestroyEvent(event: aclrtEvent) -> aclError {
    let removed = runtime().events.remove(&(event as usize));
    answer(
        "aclrtDestroyEvent",
        match removed {
            Some(_) => Ok(()),
            None => Err(Failure::new(RT_PARAM_INVALID, "there is no such event")),
        },
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtRecordEvent(event: aclrtEvent, stream: aclrtStream) -> aclError {
    answer(
        "aclrtRecordEvent",
        (|| {
            let (event, stream) = {
                let held = ready()?;
                (held.event(event)?, held.stream(stream)?)
            };
            event.record(&stream)
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtStreamWaitEvent(stream: aclrtStream, event: aclrtEvent) -> aclError {
    answer(
        "aclrtStreamWaitEvent",
        (|| {
            let (event, stream) = {
                let held = ready()?;
                (held.event(event)?, held.stream(stream)?)
            };
            event.hold(&stream)
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `status` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtQueryEventStatus(
    event: aclrtEvent,
    status: *mut aclrtEventRecordedStatus,
) -> aclError {
    let outcome = (|| {
        let event = ready()?.event(event)?;
        let reached = match event.is_reached() {
            true => ACL_EVENT_RECORDED_STATUS_COMPLETE,
            false => ACL_EVENT_RECORDED_STATUS_NOT_READY,
        };
        // SAFETY: the caller's promise.
        unsafe { write(status, reached) }
    })();
    answer("aclrtQueryEventStatus", outcome)
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtSynchronizeEvent(event: aclrtEvent) -> aclError {
    answer(
        "aclrtSynchronizeEvent",
        (|| {
            // The runtime must not be held while this waits.
            let event = ready()?.event(event)?;
            event.synchronize()
        })(),
    )
}

/// See the documentation of CANN.
///
/// # Safety
/// `ms` is null or valid to write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtEventElapsedTime(
    ms: *mut f32,
    start: aclrtEvent,
    end: aclrtEvent,
) -> aclError {
    let outcome = (|| {
        let held = ready()?;
        let times = [start, end].map(|event| held.event(event).map(|event| event.time()));
        let [start, end] = times;
        let (Some(start), Some(end)) = (start?, end?) else {
            return Err(Failure::new(
                RT_PARAM_INVALID,
                "an event was not reached yet",
            ));
        };
        let between = end.saturating_duration_since(start);
        // SAFETY: the caller's promise.
        unsafe { write(ms, between.as_secs_f32() * 1e3) }
    })();
    answer("aclrtEventElapsedTime", outcome)
}
