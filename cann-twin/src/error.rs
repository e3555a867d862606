//! Codes and texts: what calls return and what `aclGetRecentErrMsg` says.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::ptr::null;

use cann_sys::aclError;

/// A parameter that cannot be.
pub(crate) const INVALID_PARAM: aclError = 100_000;
/// A call before `aclInit`.
pub(crate) const UNINITIALIZED: aclError = 100_001;
/// A second `aclInit`.
pub(crate) const REPEAT_INITIALIZE: aclError = 100_002;
/// A file that cannot be loaded.
pub(crate) const INVALID_FILE: aclError = 100_003;
/// A second `aclFinalize`.
pub(crate) const REPEAT_FINALIZE: aclError = 100_037;
/// Profiling that was not begun.
pub(crate) const PROF_NOT_RUN: aclError = 100_043;
/// A runtime call with a parameter that cannot be.
pub(crate) const RT_PARAM_INVALID: aclError = 107_000;
/// A device that is not there.
pub(crate) const RT_INVALID_DEVICE: aclError = 107_001;
/// No context on this thread, or one that is gone.
pub(crate) const RT_CONTEXT_NULL: aclError = 107_002;
/// A stream of another context or one that is gone.
pub(crate) const RT_STREAM_CONTEXT: aclError = 107_003;
/// A kernel that a binary does not have.
pub(crate) const RT_INVALID_HANDLE: aclError = 107_017;
/// Time ran out.
pub(crate) const RT_SYNC_TIMEOUT: aclError = 507_046;
/// No memory left.
pub(crate) const RT_MEMORY_ALLOCATION: aclError = 207_001;
/// No resources left.
pub(crate) const RT_RESOURCE_ALLOC_FAIL: aclError = 207_005;
/// Something inside went wrong.
pub(crate) const RT_INTERNAL_ERROR: aclError = 507_000;
/// A kernel failed.
pub(crate) const RT_AICORE_EXCEPTION: aclError = 507_015;
/// A copy failed.
pub(crate) const RT_SDMA_COPY_ERROR: aclError = 507_013;
/// A stream that was aborted.
pub(crate) const RT_STREAM_ABORT: aclError = 107_023;
/// The device is lost.
pub(crate) const RT_DEVICE_LOST: aclError = 507_010;

/// Why a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: aclError,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(code: aclError, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// What can fail.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

thread_local! {
    /// The last text, and the one that was given out last, which must stay valid until the next.
    static TEXTS: RefCell<(Option<CString>, Option<CString>)> = const { RefCell::new((None, None)) };
}

/// Notes what a call of this thread failed with.
pub(crate) fn note(name: &str, code: aclError, text: &str) {
    let text = format!("EZ{code}: {name}: {text}");
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    TEXTS.with_borrow_mut(|texts| texts.0 = Some(text));
}

/// The code of an outcome; a failure's text is noted.
pub(crate) fn answer(name: &str, outcome: Outcome) -> aclError {
    match outcome {
        Ok(()) => 0,
        Err(Failure { code, text }) => {
            note(name, code, &text);
            code
        }
    }
}

/// The last text of this thread, once.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclGetRecentErrMsg() -> *const c_char {
    TEXTS.with_borrow_mut(|(last, given)| match last.take() {
        Some(text) => given.insert(text).as_ptr(),
        None => null(),
    })
}
