//! What CANN keeps once per process and library: whether it is initialised, and which devices are in
//! use. Both are counted here, so that the first user takes and the last one gives back, however many
//! [`super::Cann`]s and [`super::Context`]s there are.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cann_sys::{Functions, aclError};

use super::codes;

/// A library, told by the address of one of its functions, or one of its devices.
type Key = (usize, Option<i32>);

struct Count {
    holders: usize,
    /// Whether this module took it and so has to give it back.
    ours: bool,
}

static COUNTS: Mutex<BTreeMap<Key, Count>> = Mutex::new(BTreeMap::new());

/// The lock is held over CANN's calls, so that nobody takes what is being given back.
fn counts() -> MutexGuard<'static, BTreeMap<Key, Count>> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one more holder. For the first, `acquire` says whether it is ours to give back.
fn hold(key: Key, acquire: impl FnOnce() -> Result<bool, c_int>) -> Result<(), c_int> {
    let mut counts = counts();
    match counts.get_mut(&key) {
        Some(count) => count.holders += 1,
        None => {
            let ours = acquire()?;
            counts.insert(key, Count { holders: 1, ours });
        }
    }
    Ok(())
}

/// Counts one holder less. For the last, `give_back` is called if it is ours to give back.
fn release(key: Key, give_back: impl FnOnce() -> c_int) {
    let mut counts = counts();
    let Some(count) = counts.get_mut(&key) else {
        return;
    };
    count.holders -= 1;
    if count.holders > 0 {
        return;
    }
    let ours = count.ours;
    counts.remove(&key);
    if ours {
        let code = give_back();
        if code != 0 {
            tracing::warn!(code, ?key, "CANN did not take something back");
        }
    }
}

/// A number for a library: two handles of one file have the same.
pub(super) fn library_id(functions: &Functions) -> usize {
    functions.aclInit as usize
}

/// Holds a library initialised.
pub(super) struct Initialised {
    id: usize,
    finalize: unsafe extern "C" fn() -> aclError,
}

impl Initialised {
    /// # Errors
    /// CANN's code.
    pub(super) fn new(functions: &Functions) -> Result<Self, c_int> {
        let id = library_id(functions);
        hold((id, None), || {
            // SAFETY: no configuration file is allowed by the function's contract.
            match unsafe { (functions.aclInit)(std::ptr::null()) } {
                0 => Ok(true),
                // Somebody else in this process did it, who will also end it.
                codes::REPEAT_INITIALIZE => Ok(false),
                code => Err(code),
            }
        })?;
        Ok(Self {
            id,
            finalize: functions.aclFinalize,
        })
    }
}

impl Drop for Initialised {
    fn drop(&mut self) {
        // SAFETY: the library is initialised, and with its last holder all objects of it are gone.
        release((self.id, None), || unsafe { (self.finalize)() });
    }
}

/// Holds a device of an initialised library in use.
pub(super) struct OpenDevice {
    id: usize,
    ordinal: i32,
    reset: unsafe extern "C" fn(i32) -> aclError,
}

impl OpenDevice {
    /// # Errors
    /// CANN's code.
    pub(super) fn new(functions: &Functions, ordinal: i32) -> Result<Self, c_int> {
        let id = library_id(functions);
        hold((id, Some(ordinal)), || {
            // SAFETY: the library is initialised; any number may be passed.
            match unsafe { (functions.aclrtSetDevice)(ordinal) } {
                0 => Ok(true),
                code => Err(code),
            }
        })?;
        Ok(Self {
            id,
            ordinal,
            reset: functions.aclrtResetDevice,
        })
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        // SAFETY: the device is set, and with its last context all objects on it are gone.
        release((self.id, Some(self.ordinal)), || unsafe {
            (self.reset)(self.ordinal)
        });
    }
}
