//! Streams: queues of a device, and what keeps alive that their launches use.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cann_sys::{Functions, aclrtStream};

use super::transfer::Staging;
use super::{Context, Event, codes};
use crate::{Error, Result};

/// Something that a launch uses.
pub(super) type Keep = Arc<dyn Any + Send + Sync>;

/// How long a stream that is dropped or stopped may take to come to rest.
const GRACE: Duration = Duration::from_secs(10);

/// A queue of a device, which works through it in order while the host goes on. It holds what its
/// launches use until they are known to be done: until the next [`Stream::synchronize`], or until an
/// event that was recorded later is seen to be reached.
pub struct Stream {
    context: Context,
    handle: aclrtStream,
    in_flight: Mutex<InFlight>,
    pub(super) staging: Mutex<Staging>,
}

// SAFETY: CANN's streams may be used from any thread that makes their context current.
unsafe impl Send for Stream {}
// SAFETY: as above; launches are put in one by one, under the lock of `in_flight`.
unsafe impl Sync for Stream {}

#[derive(Default)]
struct InFlight {
    /// The number of the next launch.
    next: u64,
    /// What launches use, in their order.
    held: VecDeque<(u64, Keep)>,
    /// Events recorded in this stream, with the count of their records then and the number of the launch after.
    marks: VecDeque<(Event, u64, u64)>,
}

impl InFlight {
    /// Takes out what the launches before `number` use.
    fn done_before(&mut self, number: u64) -> Vec<Keep> {
        let count = self.held.partition_point(|(launch, _)| *launch < number);
        self.marks.retain(|(_, _, launch)| *launch > number);
        self.held.drain(..count).map(|(_, keep)| keep).collect()
    }
}

impl Stream {
    pub(super) fn new(context: &Context) -> Result<Self> {
        let mut handle = std::ptr::null_mut();
        let functions = context.bind()?;
        // SAFETY: `handle` is a valid place to write to.
        let code = unsafe { (functions.aclrtCreateStream)(&mut handle) };
        context.check("aclrtCreateStream", code)?;
        Ok(Self {
            context: context.clone(),
            handle,
            in_flight: Mutex::default(),
            staging: Mutex::default(),
        })
    }

    /// The device that it is on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// What failed on the device since the last time.
    pub fn synchronize(&self) -> Result<()> {
        let upto = self.in_flight().next;
        let functions = self.context.bind()?;
        // SAFETY: the stream lives.
        let code = unsafe { (functions.aclrtSynchronizeStream)(self.handle) };
        self.context.check("aclrtSynchronizeStream", code)?;
        self.release_before(upto);
        Ok(())
    }

    /// Waits for some time, to the millisecond; whether everything is done.
    ///
    /// # Errors
    /// What failed on the device since the last time.
    pub fn synchronize_within(&self, time: Duration) -> Result<bool> {
        let upto = self.in_flight().next;
        let functions = self.context.bind()?;
        let ms = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the stream lives.
        let code = unsafe { (functions.aclrtSynchronizeStreamWithTimeout)(self.handle, ms) };
        if codes::is_timeout(code) {
            // Asked for, so that it is not taken for a later failure's.
            self.context.cann().recent_message();
            return Ok(false);
        }
        self.context
            .check("aclrtSynchronizeStreamWithTimeout", code)?;
        self.release_before(upto);
        Ok(true)
    }

    /// Throws away what was not begun, and waits until the rest is done or stopped. Where CANN cannot
    /// stop a stream, everything is done first. The stream can be used again unless the device failed.
    ///
    /// # Errors
    /// If the device does not come to rest in 10 seconds.
    pub fn abort(&self) -> Result<()> {
        let upto = self.in_flight().next;
        let Some(abort) = self.context.bind()?.aclrtStreamAbort else {
            return self.synchronize();
        };
        // SAFETY: the stream lives.
        let code = unsafe { abort(self.handle) };
        self.context.check("aclrtStreamAbort", code)?;
        match self.synchronize_within(GRACE) {
            Ok(false) => Err(Error::Device {
                device: self.context.name().to_owned(),
                what: format!(
                    "the stream is still at work {} s after it was told to stop",
                    GRACE.as_secs()
                ),
            }),
            Ok(true) => Ok(()),
            // What was stopped counts as failed; it is over.
            Err(error) => {
                tracing::debug!("after stopping: {error}");
                self.release_before(upto);
                Ok(())
            }
        }
    }

    /// Puts a mark behind everything that is in the stream.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// If the event is of another device.
    pub fn record(&self, event: &Event) -> Result<()> {
        self.check_context(event.context());
        self.release_reached();
        let functions = self.context.bind()?;
        let mut in_flight = self.in_flight();
        let record = event.count_record();
        // SAFETY: event and stream live; the stream holds the event until it is reached.
        let code = unsafe { (functions.aclrtRecordEvent)(event.raw(), self.handle) };
        self.context.check("aclrtRecordEvent", code)?;
        let number = in_flight.next;
        in_flight.next += 1;
        in_flight.held.push_back((number, Arc::new(event.clone())));
        in_flight
            .marks
            .push_back((event.clone(), record, number + 1));
        Ok(())
    }

    /// Makes everything that comes later wait until an event is reached, as it is recorded now.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// If the event is of another device.
    pub fn wait(&self, event: &Event) -> Result<()> {
        self.check_context(event.context());
        if event.records() == 0 {
            return Ok(());
        }
        self.enqueue(
            "aclrtStreamWaitEvent",
            [Arc::new(event.clone()) as Keep],
            |f, stream| {
                // SAFETY: event and stream live; the stream holds the event until it is reached.
                unsafe { (f.aclrtStreamWaitEvent)(stream, event.raw()) }
            },
        )
    }

    /// Puts one launch into the stream, which holds what it uses from now on, also if it fails: a
    /// launch of several parts may have begun.
    pub(super) fn enqueue(
        &self,
        operation: impl fmt::Display,
        keep: impl IntoIterator<Item = Keep>,
        call: impl FnOnce(&Functions, aclrtStream) -> c_int,
    ) -> Result<()> {
        let functions = self.context.bind()?;
        let mut in_flight = self.in_flight();
        let number = in_flight.next;
        in_flight.next += 1;
        let keep = keep.into_iter().map(|keep| (number, keep));
        in_flight.held.extend(keep);
        let code = call(functions, self.handle);
        drop(in_flight);
        self.context.check(operation, code)
    }

    /// Lets go of what launches before events use that are reached by now.
    pub(super) fn release_reached(&self) {
        let reached = {
            let mut in_flight = self.in_flight();
            let mut reached = None;
            while let Some((event, record, number)) = in_flight.marks.front() {
                // One that was recorded again tells nothing about its old place.
                if event.records() == *record {
                    match event.is_reached() {
                        Ok(true) => reached = Some(*number),
                        Ok(false) | Err(_) => break,
                    }
                }
                in_flight.marks.pop_front();
            }
            reached
        };
        if let Some(number) = reached {
            self.release_before(number);
        }
    }

    /// Lets go of what launches before `number` use. What that frees is freed without the lock.
    fn release_before(&self, number: u64) {
        let done = self.in_flight().done_before(number);
        drop(done);
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing of this stream runs any more, and stops it if that takes too long.
    fn come_to_rest(&self) -> bool {
        if !matches!(self.synchronize_within(GRACE), Ok(false)) {
            // Done, or failed, which ends it too.
            return true;
        }
        match self.abort() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("{error}");
                false
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let resting = self.in_flight().held.is_empty() || self.come_to_rest();
        let force = self.context.cann().functions().aclrtDestroyStreamForce;
        let destroyed = match (resting, force) {
            // SAFETY: the stream is destroyed once, and nothing of it runs.
            (true, _) => self.context.give_back("aclrtDestroyStream", |f| unsafe {
                (f.aclrtDestroyStream)(self.handle)
            }),
            // SAFETY: the stream is destroyed once, with what runs.
            (false, Some(force)) => self
                .context
                .give_back("aclrtDestroyStreamForce", |_| unsafe { force(self.handle) }),
            (false, None) => false,
        };
        if !resting && !destroyed {
            // The device may still read and write it.
            tracing::warn!(
                "{}: a stream hangs; its memory is not freed",
                self.context.name()
            );
            std::mem::forget(std::mem::take(&mut self.in_flight().held));
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream of {}", self.context.name())
    }
}
