//! The runtime: devices, contexts, memory, streams, events and kernels, as libascendcl has them.
//!
//! Handles are numbers that are given out once; a handle that is not live is refused and never
//! followed.

pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod stream;

mod api;
mod chip;
mod copy;
mod profile;
mod queue;

pub(crate) use api::*;
pub(crate) use copy::*;
pub(crate) use kernel::*;
pub(crate) use profile::*;
pub(crate) use queue::*;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{
    Failure, Outcome, RT_CONTEXT_NULL, RT_DEVICE_LOST, RT_INVALID_DEVICE, RT_STREAM_CONTEXT,
    UNINITIALIZED,
};
use crate::fault;
use memory::Heap;
use stream::{Event, Stream};

/// Everything that is there.
#[derive(Default)]
pub(crate) struct Runtime {
    pub(crate) initialized: bool,
    pub(crate) heap: Heap,
    /// Users of a device's default context.
    devices: HashMap<usize, usize>,
    /// Contexts by handle, with their device.
    contexts: HashMap<usize, usize>,
    /// The default context of a device.
    defaults: HashMap<usize, usize>,
    streams: HashMap<usize, Arc<Stream>>,
    events: HashMap<usize, Arc<Event>>,
    pub(crate) kernels: kernel::Kernels,
    profiles: Profiles,
    last_handle: usize,
}

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

thread_local! {
    /// The context of this thread.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The runtime; with `&mut` as one call at a time changes it.
pub(crate) struct Held(MutexGuard<'static, Option<Runtime>>);

impl std::ops::Deref for Held {
    type Target = Runtime;
    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("made when it was locked")
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Runtime {
        self.0.as_mut().expect("made when it was locked")
    }
}

/// The runtime, whatever state it is in.
pub(crate) fn runtime() -> Held {
    let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_with(Runtime::default);
    Held(held)
}

/// The runtime, where it can be used.
///
/// # Errors
/// Before `aclInit`, and when the device is lost.
pub(crate) fn ready() -> Outcome<Held> {
    let held = runtime();
    if !held.initialized {
        return Err(Failure::new(UNINITIALIZED, "aclInit was not called"));
    }
    match fault::is_lost() {
        true => Err(Failure::new(RT_DEVICE_LOST, "the device is lost")),
        false => Ok(held),
    }
}

/// Devices that this process sees: those of `ASCEND_RT_VISIBLE_DEVICES` among those that there are
/// (`ASCENDIT_TWIN_DEVICES`, 1 to 8, else 1).
pub(crate) fn visible_devices() -> usize {
    let there = std::env::var("ASCENDIT_TWIN_DEVICES").ok();
    let there = there
        .and_then(|n| n.parse().ok())
        .unwrap_or(1usize)
        .clamp(1, 8);
    match std::env::var("ASCEND_RT_VISIBLE_DEVICES") {
        Ok(list) => {
            let known = |part: &&str| part.trim().parse::<usize>().is_ok_and(|n| n < there);
            list.split(',').take_while(known).count()
        }
        Err(_) => there,
    }
}

/// Bytes of a device's memory: `ASCENDIT_TWIN_MEMORY`, else the chip's.
pub(crate) fn memory_bytes() -> usize {
    let set = std::env::var("ASCENDIT_TWIN_MEMORY").ok();
    set.and_then(|n| n.parse().ok())
        .unwrap_or_else(|| chip::chip().memory_bytes)
}

impl Runtime {
    /// A handle that nothing had before.
    pub(crate) fn handle(&mut self) -> usize {
        self.last_handle += 1;
        // Far from addresses, odd to look at.
        0x7700_0000_0000 + self.last_handle * 16
    }

    pub(crate) fn check_device(device: i32) -> Outcome<usize> {
        let count = visible_devices();
        usize::try_from(device)
            .ok()
            .filter(|d| *d < count)
            .ok_or_else(|| {
                let text = format!("there is no device {device}; {count} are visible");
                Failure::new(RT_INVALID_DEVICE, text)
            })
    }

    /// The context of this thread and its device.
    pub(crate) fn current(&self) -> Outcome<(usize, usize)> {
        let context = CURRENT.get();
        match self.contexts.get(&context) {
            Some(device) => Ok((context, *device)),
            None => Err(Failure::new(
                RT_CONTEXT_NULL,
                "this thread has no current context",
            )),
        }
    }

    pub(crate) fn stream(&self, handle: *mut c_void) -> Outcome<Arc<Stream>> {
        let (context, _) = self.current()?;
        match self.streams.get(&(handle as usize)) {
            Some(stream) if stream.context == context => Ok(Arc::clone(stream)),
            Some(_) => Err(Failure::new(
                RT_STREAM_CONTEXT,
                "the stream belongs to another context than this thread's",
            )),
            None => Err(Failure::new(RT_STREAM_CONTEXT, "there is no such stream")),
        }
    }

    pub(crate) fn event(&self, handle: *mut c_void) -> Outcome<Arc<Event>> {
        self.current()?;
        let event = self.events.get(&(handle as usize)).cloned();
        event.ok_or_else(|| Failure::new(crate::error::RT_PARAM_INVALID, "there is no such event"))
    }

    /// Live objects of the runtime by kind.
    pub(crate) fn live(&self) -> Vec<(usize, &'static str)> {
        vec![
            (self.contexts.len() - self.defaults.len(), "context"),
            (self.devices.values().sum(), "open device"),
            (self.streams.len(), "stream"),
            (self.events.len(), "event"),
            (self.heap.count(), "device allocation"),
            (self.heap.pinned_count(), "pinned allocation"),
            (self.kernels.binaries(), "kernel binary"),
            (self.kernels.arguments(), "kernel argument block"),
            (self.profiles.configs(), "profiling config"),
        ]
    }
}
