//! Streams and events, as a program asks for them; what they do is in [`super::stream`].

use std::sync::Arc;
use std::time::Duration;

use cann_sys::{
    ACL_EVENT_RECORDED_STATUS_COMPLETE, ACL_EVENT_RECORDED_STATUS_NOT_READY, aclError, aclrtEvent,
    aclrtEventRecordedStatus, aclrtStream,
};

use super::api::{room, write};
use super::stream::{Event, Stream};
use super::{ready, runtime};
use crate::error::{
    Failure, Outcome, RT_DEVICE_LOST, RT_PARAM_INVALID, RT_RESOURCE_ALLOC_FAIL, answer,
};
use crate::fault;

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
        true => Err(Failure::new(RT_DEVICE_LOST, "the device is lost")),
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
