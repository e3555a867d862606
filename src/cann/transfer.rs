//! Copies between host and device, and on the device, in the order of a stream.

use std::sync::{Arc, MutexGuard, PoisonError};

use cann_sys::{ACL_MEMCPY_DEVICE_TO_DEVICE, ACL_MEMCPY_DEVICE_TO_HOST, ACL_MEMCPY_HOST_TO_DEVICE};

use super::stream::Keep;
use super::{Context, DeviceBuffer, Event, PinnedBuffer, Stream};
use crate::Result;

/// The most that goes through one staging buffer at once.
const STAGING_BYTES: usize = 16 << 20;

/// Two pinned buffers through which ordinary memory goes: one is filled while the other is copied.
#[derive(Default)]
pub(super) struct Staging {
    slots: [Option<Slot>; 2],
    next: usize,
}

struct Slot {
    /// Held by the stream too while the device uses it.
    buffer: Arc<PinnedBuffer>,
    /// Recorded after the last copy from it.
    free: Event,
}

impl Staging {
    /// The slot whose turn it is, with room for `bytes` that nobody uses.
    fn turn(&mut self, stream: &Stream, bytes: usize) -> Result<&mut Slot> {
        let at = self.next;
        self.next = (at + 1) % self.slots.len();
        let context = stream.context();
        if let Some(slot) = &self.slots[at] {
            slot.free.synchronize()?;
            stream.release_reached();
        }
        let usable = |slot: &mut Slot| {
            slot.buffer.len() >= bytes && Arc::get_mut(&mut slot.buffer).is_some()
        };
        if !self.slots[at].as_mut().is_some_and(usable) {
            self.slots[at] = Some(Slot {
                buffer: Arc::new(context.pinned(bytes.next_power_of_two())?),
                free: context.event()?,
            });
        }
        Ok(self.slots[at].as_mut().expect("it was just filled"))
    }
}

impl Stream {
    fn staging(&self) -> MutexGuard<'_, Staging> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies bytes to the device, through pinned buffers. When it returns, `bytes` may be changed;
    /// the device has them before everything that comes later in this stream.
    ///
    /// # Errors
    /// If pinned memory ran out or the device failed.
    ///
    /// # Panics
    /// If the bytes do not lie inside of the buffer, or it is of another device.
    pub fn upload(&self, bytes: &[u8], to: &Arc<DeviceBuffer>, at: usize) -> Result<()> {
        self.upload_with(bytes.len(), to, at, |from, part| {
            part.copy_from_slice(&bytes[from..][..part.len()]);
            Ok(())
        })
    }

    /// The same with bytes that `fill` makes part by part, in order: it gets the place of the part's
    /// first byte among all and fills the part, whose length is a multiple of 64 but for the last.
    ///
    /// # Errors
    /// As [`Stream::upload`], and those of `fill`.
    ///
    /// # Panics
    /// As [`Stream::upload`].
    pub fn upload_with(
        &self,
        len: usize,
        to: &Arc<DeviceBuffer>,
        at: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        self.check_buffer(to);
        to.address(at, len);
        let mut staging = self.staging();
        for from in (0..len).step_by(STAGING_BYTES) {
            let bytes = STAGING_BYTES.min(len - from);
            let slot = staging.turn(self, bytes)?;
            let buffer = Arc::get_mut(&mut slot.buffer).expect("nobody else uses it now");
            fill(from, &mut buffer[..bytes])?;
            self.host_to_device(&slot.buffer, bytes, to, at + from)?;
            self.record(&slot.free)?;
        }
        Ok(())
    }

    /// Copies pinned memory to the device, which frees it when it was copied.
    ///
    /// # Errors
    /// If the device failed.
    ///
    /// # Panics
    /// As [`Stream::upload`].
    pub fn upload_pinned(
        &self,
        from: PinnedBuffer,
        to: &Arc<DeviceBuffer>,
        at: usize,
    ) -> Result<()> {
        self.check_buffer(to);
        self.check_context(from.context());
        let bytes = from.len();
        self.host_to_device(&Arc::new(from), bytes, to, at)
    }

    fn host_to_device(
        &self,
        from: &Arc<PinnedBuffer>,
        bytes: usize,
        to: &Arc<DeviceBuffer>,
        at: usize,
    ) -> Result<()> {
        let target = to.address(at, bytes);
        if bytes == 0 {
            return Ok(());
        }
        let keep: [Keep; 2] = [from.clone(), to.clone()];
        self.enqueue("aclrtMemcpyAsync to the device", keep, |f, stream| {
            let kind = ACL_MEMCPY_HOST_TO_DEVICE;
            // SAFETY: both ranges lie inside of memory that the stream holds from now on; nobody
            // writes to the pinned memory meanwhile, because that takes the only holder.
            unsafe { (f.aclrtMemcpyAsync)(target, bytes, from.as_ptr(), bytes, kind, stream) }
        })
    }

    /// Copies bytes from the device after everything before in this stream, and waits for them.
    ///
    /// # Errors
    /// If pinned memory ran out, or what failed on the device.
    ///
    /// # Panics
    /// As [`Stream::upload`].
    pub fn download(&self, from: &Arc<DeviceBuffer>, at: usize, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.download_into(from, at, &mut bytes)?;
        Ok(bytes)
    }

    /// The same into memory that is there.
    ///
    /// # Errors
    /// As [`Stream::download`].
    ///
    /// # Panics
    /// As [`Stream::upload`].
    pub fn download_into(&self, from: &Arc<DeviceBuffer>, at: usize, to: &mut [u8]) -> Result<()> {
        self.check_buffer(from);
        from.address(at, to.len());
        let mut staging = self.staging();
        for (i, part) in to.chunks_mut(STAGING_BYTES).enumerate() {
            let bytes = part.len();
            let slot = staging.turn(self, bytes)?;
            let source = from.address(at + i * STAGING_BYTES, bytes);
            let keep: [Keep; 2] = [slot.buffer.clone(), from.clone()];
            self.enqueue("aclrtMemcpyAsync from the device", keep, |f, stream| {
                let kind = ACL_MEMCPY_DEVICE_TO_HOST;
                // SAFETY: both ranges lie inside of memory that the stream holds from now on; nobody
                // looks at the pinned memory before the stream was waited for.
                unsafe {
                    (f.aclrtMemcpyAsync)(slot.buffer.as_ptr(), bytes, source, bytes, kind, stream)
                }
            })?;
            self.synchronize()?;
            part.copy_from_slice(&slot.buffer[..bytes]);
        }
        Ok(())
    }

    /// Copies bytes on the device.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// As [`Stream::upload`], and if the ranges overlap.
    pub fn copy(
        &self,
        from: &Arc<DeviceBuffer>,
        from_at: usize,
        to: &Arc<DeviceBuffer>,
        to_at: usize,
        len: usize,
    ) -> Result<()> {
        self.check_buffer(from);
        self.check_buffer(to);
        let (source, target) = (from.address(from_at, len), to.address(to_at, len));
        let overlap = Arc::ptr_eq(from, to) && from_at < to_at + len && to_at < from_at + len;
        assert!(len == 0 || !overlap, "the ranges of a copy overlap");
        if len == 0 {
            return Ok(());
        }
        let keep: [Keep; 2] = [from.clone(), to.clone()];
        self.enqueue("aclrtMemcpyAsync on the device", keep, |f, stream| {
            let kind = ACL_MEMCPY_DEVICE_TO_DEVICE;
            // SAFETY: both ranges lie inside of memory that the stream holds from now on.
            unsafe { (f.aclrtMemcpyAsync)(target, len, source, len, kind, stream) }
        })
    }

    /// Sets bytes of the device to zero.
    ///
    /// # Errors
    /// What CANN says.
    ///
    /// # Panics
    /// As [`Stream::upload`].
    pub fn zero(&self, buffer: &Arc<DeviceBuffer>, at: usize, len: usize) -> Result<()> {
        self.check_buffer(buffer);
        let target = buffer.address(at, len);
        if len == 0 {
            return Ok(());
        }
        self.enqueue("aclrtMemsetAsync", [buffer.clone() as Keep], |f, stream| {
            // SAFETY: the range lies inside of memory that the stream holds from now on.
            unsafe { (f.aclrtMemsetAsync)(target, len, 0, len, stream) }
        })
    }

    fn check_buffer(&self, buffer: &DeviceBuffer) {
        self.check_context(buffer.context());
    }

    /// # Panics
    /// If something is of another device.
    pub(super) fn check_context(&self, other: &Context) {
        assert!(
            self.context().is(other),
            "something of {} in a stream of {}",
            other.name(),
            self.context().name()
        );
    }
}
