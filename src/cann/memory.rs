//! Memory of a device, and memory of the host that a device can reach.

use std::ffi::c_void;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use cann_sys::ACL_MEM_MALLOC_HUGE_FIRST;

use super::Context;
use crate::disk::size_text;
use crate::{Error, Result};

/// Memory of a device. It is freed when the last holder is gone; a [`super::Stream`] is a holder while
/// its launches use it.
pub struct DeviceBuffer {
    context: Context,
    at: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: an address of the device, which is only passed to CANN; any thread may do that.
unsafe impl Send for DeviceBuffer {}
// SAFETY: as above; the order of uses is that of the streams.
unsafe impl Sync for DeviceBuffer {}

impl DeviceBuffer {
    pub(super) fn new(context: &Context, bytes: usize, purpose: &str) -> Result<Arc<Self>> {
        let mut at = std::ptr::null_mut();
        let functions = context.bind()?;
        // CANN refuses to allocate nothing.
        let size = bytes.max(1);
        // SAFETY: `at` is a valid place to write to.
        let code = unsafe { (functions.aclrtMalloc)(&mut at, size, ACL_MEM_MALLOC_HUGE_FIRST) };
        let for_what = if purpose.is_empty() { "" } else { " for " };
        let operation = format_args!(
            "aclrtMalloc of {}{for_what}{purpose}",
            size_text(size as u64)
        );
        context
            .check(operation, code)
            .map_err(|error| with_memory(context, error))?;
        let at = NonNull::new(at).ok_or_else(|| nothing(context, "aclrtMalloc"))?;
        Ok(Arc::new(Self {
            context: context.clone(),
            at,
            bytes,
        }))
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The device that it is on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The address of a byte, or of the end.
    ///
    /// # Panics
    /// If `len` bytes from there do not lie inside.
    pub(super) fn address(&self, at: usize, len: usize) -> *mut c_void {
        let end = at.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "{len} bytes at {at} are not inside of {} bytes of device memory",
            self.bytes
        );
        self.at.as_ptr().wrapping_byte_add(at)
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // SAFETY: it was allocated by CANN and is freed once; launches that use it hold it.
        self.context
            .give_back("aclrtFree", |f| unsafe { (f.aclrtFree)(self.at.as_ptr()) });
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {}",
            size_text(self.bytes as u64),
            self.context.name()
        )
    }
}

/// Adds to a shortage how much is there.
fn with_memory(context: &Context, error: Error) -> Error {
    let Error::Exhausted { what } = error else {
        return error;
    };
    let what = match context.memory() {
        Ok(memory) => format!(
            "{what}; {} of {} are free; make fewer frames or a smaller size, pass --decode-chunk 1, \
             or end other programs that use the card",
            size_text(memory.free_bytes as u64),
            size_text(memory.total_bytes as u64)
        ),
        Err(_) => what,
    };
    Error::Exhausted { what }
}

/// CANN reports success and gives nothing.
pub(super) fn nothing(context: &Context, operation: &str) -> Error {
    let mut what = format!("{operation} gave nothing");
    let message = context.cann().recent_message();
    if !message.is_empty() {
        what += &format!("; CANN says: {}", super::codes::one_line(&message));
    }
    Error::Device {
        device: context.name().to_owned(),
        what,
    }
}

/// Memory of the host that the device can copy from and to by itself.
pub struct PinnedBuffer {
    context: Context,
    at: NonNull<u8>,
    bytes: usize,
}

// SAFETY: owned memory of the host; freeing it from another thread is allowed.
unsafe impl Send for PinnedBuffer {}
// SAFETY: shared references only read.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    pub(super) fn new(context: &Context, bytes: usize) -> Result<Self> {
        let mut at = std::ptr::null_mut();
        let functions = context.bind()?;
        let size = bytes.max(1);
        // SAFETY: `at` is a valid place to write to.
        let code = unsafe { (functions.aclrtMallocHost)(&mut at, size) };
        let operation = format_args!("aclrtMallocHost of {}", size_text(size as u64));
        context.check(operation, code)?;
        let at =
            NonNull::new(at.cast::<u8>()).ok_or_else(|| nothing(context, "aclrtMallocHost"))?;
        // SAFETY: CANN gave `size` bytes there; from now on all of them have a value.
        unsafe { at.write_bytes(0, size) };
        Ok(Self {
            context: context.clone(),
            at,
            bytes,
        })
    }

    /// The device that can reach it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.at.as_ptr().cast()
    }
}

impl Deref for PinnedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `bytes` bytes with values, which nobody changes while this is borrowed: the device
        // writes to pinned memory only inside of `super::transfer`, which owns it meanwhile.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) }
    }
}

impl DerefMut for PinnedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody reads it: the device reads only what streams hold.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.bytes) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        // SAFETY: it was allocated by this function's counterpart and is freed once; copies in flight
        // hold it.
        self.context.give_back("aclrtFreeHost", |f| unsafe {
            (f.aclrtFreeHost)(self.at.as_ptr().cast())
        });
    }
}

impl fmt::Debug for PinnedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of pinned memory", size_text(self.bytes as u64))
    }
}
