//! A device of an opened CANN, and which of them a thread talks to.

use std::cell::RefCell;
use std::ffi::c_int;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cann_sys::{
    ACL_DEVICE_INFO_AI_CORE_NUM, ACL_DEVICE_INFO_VECTOR_CORE_NUM, ACL_HBM_MEM, Functions,
    aclDeviceInfo, aclrtContext,
};

use super::library::Cann;
use super::memory::{DeviceBuffer, PinnedBuffer};
use super::process::OpenDevice;
use super::{Event, Ops, Stream};
use crate::{Error, Result};

/// A device that is in use. Clones are the same; it is given back when the last of them and of what
/// was made from it is gone.
#[derive(Clone)]
pub struct Context(Arc<Opened>);

struct Opened {
    name: String,
    ordinal: i32,
    handle: aclrtContext,
    /// Told apart from all others, also from those that are gone and whose handle is used again.
    id: u64,
    // In this order: the device is given back before the library.
    _device: OpenDevice,
    cann: Cann,
}

// SAFETY: CANN's contexts may be used from any thread that makes them current, which `bind` does.
unsafe impl Send for Opened {}
// SAFETY: as above; making one context current on several threads at once is allowed.
unsafe impl Sync for Opened {}

/// Memory of a device in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What nobody has.
    pub free_bytes: usize,
    /// All.
    pub total_bytes: usize,
}

/// Cores of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// For matrix products (AIC).
    pub cube: usize,
    /// For vectors (AIV).
    pub vector: usize,
}

thread_local! {
    /// For each library, the context that is this thread's current one.
    static CURRENT: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Remembers which context of a library is current on this thread.
fn set_current(library: usize, context: Option<u64>) {
    // Without effect while the thread ends: then nothing is remembered, and contexts are set each time.
    let _ = CURRENT.try_with(|current| {
        let mut current = current.borrow_mut();
        current.retain(|(known, _)| *known != library);
        current.extend(context.map(|id| (library, id)));
    });
}

fn is_current(library: usize, context: u64) -> bool {
    CURRENT
        .try_with(|current| current.borrow().contains(&(library, context)))
        .unwrap_or(false)
}

impl Context {
    /// Takes a device in use.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the devices that there are if there is no such one, else what CANN
    /// says.
    pub fn new(cann: &Cann, ordinal: usize) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}:{ordinal}", cann.name());
        let count = cann.devices()?;
        if ordinal >= count {
            let what = match count {
                0 => "there are no devices".to_owned(),
                1 => format!("there is no such device, only {}:0", cann.name()),
                n => format!(
                    "there is no such device, only {0}:0 to {0}:{1}",
                    cann.name(),
                    n - 1
                ),
            };
            return Err(Error::Unavailable { device: name, what });
        }
        let number = i32::try_from(ordinal).expect("CANN counts devices with 32 bits");
        let functions = cann.functions();
        // Both calls change what is current on this thread.
        set_current(cann.id(), None);
        let device = OpenDevice::new(functions, number)
            .map_err(|code| cann.failure(&name, "aclrtSetDevice", code))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the device is set and `handle` is a valid place to write to.
        let code = unsafe { (functions.aclrtCreateContext)(&mut handle, number) };
        cann.check(&name, "aclrtCreateContext", code)?;
        Ok(Self(Arc::new(Opened {
            name,
            ordinal: number,
            handle,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            _device: device,
            cann: cann.clone(),
        })))
    }

    /// The device as the user writes it: `cann:0`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The library.
    pub fn cann(&self) -> &Cann {
        &self.0.cann
    }

    /// Whether both are the same context.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The device's memory.
    ///
    /// # Errors
    /// If CANN cannot tell.
    pub fn memory(&self) -> Result<Memory> {
        let (mut free, mut total) = (0, 0);
        let functions = self.bind()?;
        // SAFETY: both are valid places to write to.
        let code = unsafe { (functions.aclrtGetMemInfo)(ACL_HBM_MEM, &mut free, &mut total) };
        self.check("aclrtGetMemInfo", code)?;
        Ok(Memory {
            free_bytes: free,
            total_bytes: total,
        })
    }

    /// The device's cores.
    ///
    /// # Errors
    /// If CANN cannot tell.
    pub fn cores(&self) -> Result<Cores> {
        Ok(Cores {
            cube: self.capability(ACL_DEVICE_INFO_AI_CORE_NUM)?,
            vector: self.capability(ACL_DEVICE_INFO_VECTOR_CORE_NUM)?,
        })
    }

    fn capability(&self, what: aclDeviceInfo) -> Result<usize> {
        let mut value = 0;
        let functions = self.bind()?;
        let device = self.0.ordinal.cast_unsigned();
        // SAFETY: `value` is a valid place to write to.
        let code = unsafe { (functions.aclGetDeviceCapability)(device, what, &mut value) };
        self.check("aclGetDeviceCapability", code)?;
        Ok(usize::try_from(value).unwrap_or(0))
    }

    /// A new stream.
    ///
    /// # Errors
    /// If the device has none left.
    pub fn stream(&self) -> Result<Stream> {
        Stream::new(self)
    }

    /// A new event.
    ///
    /// # Errors
    /// If the device has none left.
    pub fn event(&self) -> Result<Event> {
        Event::new(self)
    }

    /// Memory of the device. What is in it is not known.
    ///
    /// # Errors
    /// [`Error::Exhausted`] with what is free if there is not enough.
    pub fn alloc(&self, bytes: usize) -> Result<Arc<DeviceBuffer>> {
        DeviceBuffer::new(self, bytes, "")
    }

    /// The same, with what it is for in the message: `the activation arena`.
    ///
    /// # Errors
    /// As [`Context::alloc`].
    pub fn alloc_for(&self, bytes: usize, purpose: &str) -> Result<Arc<DeviceBuffer>> {
        DeviceBuffer::new(self, bytes, purpose)
    }

    /// Memory of the host that the device can copy from and to by itself, filled with zeros.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if there is not enough.
    pub fn pinned(&self, bytes: usize) -> Result<PinnedBuffer> {
        PinnedBuffer::new(self, bytes)
    }

    /// The operators.
    pub fn ops(&self) -> Ops<'_> {
        Ops::new(self)
    }

    /// Makes this the thread's current context, as every call on a device needs, and gives the calls.
    pub(super) fn bind(&self) -> Result<&Functions> {
        let functions = self.0.cann.functions();
        let library = self.0.cann.id();
        if !is_current(library, self.0.id) {
            // SAFETY: the context lives as long as `self`.
            let code = unsafe { (functions.aclrtSetCurrentContext)(self.0.handle) };
            self.check("aclrtSetCurrentContext", code)?;
            set_current(library, Some(self.0.id));
        }
        Ok(functions)
    }

    /// See [`Cann::check`].
    pub(super) fn check(&self, operation: impl fmt::Display, code: c_int) -> Result<()> {
        self.0.cann.check(self.name(), operation, code)
    }

    /// For `Drop`, which has nobody to tell: calls, and logs a failure. Whether it went well.
    pub(super) fn give_back(
        &self,
        operation: &str,
        call: impl FnOnce(&Functions) -> c_int,
    ) -> bool {
        if let Err(error) = self.bind() {
            // What is given back is told by its handle; the call may still go well.
            tracing::warn!("{error}");
        }
        let done = self.check(operation, call(self.0.cann.functions()));
        done.inspect_err(|error| tracing::warn!("{error}")).is_ok()
    }

    pub(super) fn device_number(&self) -> u32 {
        self.0.ordinal.cast_unsigned()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: everything that was made from the context holds it, so nothing is left of it.
        let code = unsafe { (self.cann.functions().aclrtDestroyContext)(self.handle) };
        set_current(self.cann.id(), None);
        if let Err(error) = self.cann.check(&self.name, "aclrtDestroyContext", code) {
            tracing::warn!("{error}");
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
