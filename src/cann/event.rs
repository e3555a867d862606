//! Events: marks in streams that the host and other streams can wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cann_sys::{ACL_EVENT_RECORDED_STATUS_COMPLETE, aclrtEvent};

use super::Context;
use crate::Result;

/// What an event is for, as bits of `aclrtCreateEventWithFlag`: streams wait for it (1), the host asks
/// how far a stream is (2), and it has a time (8).
const FLAGS: u32 = 1 | 2 | 8;

/// A mark that a stream reaches when everything before it is done. Clones are the same.
#[derive(Clone)]
pub struct Event(Arc<Handle>);

struct Handle {
    context: Context,
    event: aclrtEvent,
    /// How often it was recorded.
    records: AtomicU64,
}

// SAFETY: a handle that is only passed to CANN, which allows that from every thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Event {
    pub(super) fn new(context: &Context) -> Result<Self> {
        let mut event = std::ptr::null_mut();
        let functions = context.bind()?;
        // SAFETY: `event` is a valid place to write to.
        let code = unsafe { (functions.aclrtCreateEventWithFlag)(&mut event, FLAGS) };
        context.check("aclrtCreateEventWithFlag", code)?;
        Ok(Self(Arc::new(Handle {
            context: context.clone(),
            event,
            records: AtomicU64::new(0),
        })))
    }

    /// The device that it is on.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// Whether the stream that it was last recorded in has reached it. One that was never recorded is.
    ///
    /// # Errors
    /// If CANN cannot tell.
    pub fn is_reached(&self) -> Result<bool> {
        if self.records() == 0 {
            return Ok(true);
        }
        let mut status = 0;
        let functions = self.0.context.bind()?;
        // SAFETY: the event lives and `status` is a valid place to write to.
        let code = unsafe { (functions.aclrtQueryEventStatus)(self.0.event, &mut status) };
        self.0.context.check("aclrtQueryEventStatus", code)?;
        Ok(status == ACL_EVENT_RECORDED_STATUS_COMPLETE)
    }

    /// Waits until the stream that it was last recorded in has reached it. That what was done before
    /// went well only [`super::Stream::synchronize`] tells.
    ///
    /// # Errors
    /// What CANN says.
    pub fn synchronize(&self) -> Result<()> {
        if self.records() == 0 {
            return Ok(());
        }
        let functions = self.0.context.bind()?;
        // SAFETY: the event lives.
        let code = unsafe { (functions.aclrtSynchronizeEvent)(self.0.event) };
        self.0.context.check("aclrtSynchronizeEvent", code)
    }

    /// The time on the device from an earlier event to this one. Both must have been reached.
    ///
    /// # Errors
    /// If one was not reached or CANN cannot tell.
    ///
    /// # Panics
    /// If the events are on different devices.
    pub fn since(&self, earlier: &Self) -> Result<Duration> {
        assert!(self.context().is(earlier.context()), "events of one device");
        let mut ms = 0.0f32;
        let functions = self.0.context.bind()?;
        let elapsed = functions.aclrtEventElapsedTime;
        // SAFETY: both events live and `ms` is a valid place to write to.
        let code = unsafe { elapsed(&mut ms, earlier.0.event, self.0.event) };
        self.0.context.check("aclrtEventElapsedTime", code)?;
        Ok(Duration::from_secs_f32(ms.max(0.0) / 1e3))
    }

    /// How often it was recorded.
    pub(super) fn records(&self) -> u64 {
        self.0.records.load(Ordering::Acquire)
    }

    /// Counts one more record, to be called before it.
    pub(super) fn count_record(&self) -> u64 {
        self.0.records.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn raw(&self) -> aclrtEvent {
        self.0.event
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the event is destroyed once; streams in which it was recorded or waited for hold it.
        self.context.give_back("aclrtDestroyEvent", |f| unsafe {
            (f.aclrtDestroyEvent)(self.event)
        });
    }
}
