//! The twin as these tests use it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

pub(crate) use ascendit_cann_twin::TABLE as T;
use ascendit_cann_twin::{
    ascendit_twin_live_objects, ascendit_twin_set_faults, ascendit_twin_set_logging,
    ascendit_twin_take_log,
};
use cann_sys::*;

/// The process's twin, for one test alone: initialised and with device 0 for this thread. When it is
/// dropped, nothing may be left.
pub(crate) struct Twin {
    thread: ThreadId,
    _alone: MutexGuard<'static, ()>,
}

/// The twin's lock, for tests that begin before `aclInit`.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn twin() -> Twin {
    let _alone = alone();
    faults("");
    // SAFETY: no configuration file is passed.
    ok(unsafe { (T.aclInit)(std::ptr::null()) });
    // SAFETY: nothing is passed.
    ok(unsafe { (T.aclrtSetDevice)(0) });
    let thread = std::thread::current().id();
    Twin { thread, _alone }
}

impl Drop for Twin {
    fn drop(&mut self) {
        faults("");
        ascendit_twin_set_logging(0);
        // SAFETY: nothing is passed.
        let codes = unsafe { [(T.aclrtResetDevice)(0), (T.aclFinalize)()] };
        if !std::thread::panicking() {
            assert_eq!(self.thread, std::thread::current().id());
            assert_eq!(live(), "");
            assert_eq!(codes, [0, 0]);
        }
    }
}

/// Makes the default context of device 0, which is in use, this thread's.
pub(crate) fn to_default() {
    // SAFETY: nothing is passed.
    unsafe {
        ok((T.aclrtSetDevice)(0));
        ok((T.aclrtResetDevice)(0));
    }
}

/// CANN's last words to this thread.
pub(crate) fn message() -> Option<String> {
    // SAFETY: null, or a text that lasts until the next call.
    unsafe {
        let text = (T.aclGetRecentErrMsg)();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_str().unwrap().to_owned())
    }
}

#[track_caller]
pub(crate) fn ok(code: i32) {
    assert_eq!(code, 0, "{:?}", message());
}

/// Compares a code and the whole text.
#[track_caller]
pub(crate) fn refused(got: i32, code: i32, text: &str) {
    let said = message();
    assert_eq!((got, said), (code, Some(format!("EZ{code}: {text}"))));
}

/// A text that the twin gives out.
fn text(give: unsafe extern "C" fn(*mut c_char, usize) -> usize) -> String {
    let mut bytes = vec![0u8; 1 << 16];
    // SAFETY: the place is as large as is passed with it.
    let len = unsafe { give(bytes.as_mut_ptr().cast(), bytes.len()) };
    assert_eq!(bytes[len], 0);
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

/// What is live: `2 tensors, 1 stream`, without the device that every test uses.
pub(crate) fn live() -> String {
    let text = text(ascendit_twin_live_objects);
    let kinds = text.split(", ").filter(|kind| *kind != "1 open device");
    kinds.collect::<Vec<_>>().join(", ")
}

/// The log so far, which is forgotten.
pub(crate) fn take_log() -> Vec<String> {
    let text = text(ascendit_twin_take_log);
    text.lines().map(str::to_owned).collect()
}

/// Sets what is to go wrong.
#[track_caller]
pub(crate) fn faults(list: &str) {
    let list = CString::new(list).unwrap();
    // SAFETY: a text.
    ok(unsafe { ascendit_twin_set_faults(list.as_ptr()) });
}

/// Runs a test of this program by itself, with variables. None in that process, where the test goes on.
pub(crate) fn by_itself(test: &str, variables: &[(&str, &str)]) -> Option<Output> {
    const HERE: &str = "TWIN_TEST_BY_ITSELF";
    if std::env::var_os(HERE).is_some_and(|name| name == test) {
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]);
    command.env(HERE, test).envs(variables.iter().copied());
    Some(command.output().unwrap())
}

/// The same where the test must pass there.
#[track_caller]
pub(crate) fn passes_by_itself(test: &str, variables: &[(&str, &str)]) -> bool {
    let Some(output) = by_itself(test, variables) else {
        return false;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 passed"), "{text}{errors}");
    true
}

pub(crate) type Stream = aclrtStream;

pub(crate) fn stream() -> Stream {
    let mut stream = null_mut();
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtCreateStream)(&mut stream) });
    stream
}

#[track_caller]
pub(crate) fn synchronize(stream: Stream) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtSynchronizeStream)(stream) });
}

#[track_caller]
pub(crate) fn destroy(stream: Stream) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtDestroyStream)(stream) });
}

/// `ACL_EVENT_TIME_LINE`: an event that keeps its time.
const TIME_LINE: u32 = 8;

pub(crate) fn event() -> aclrtEvent {
    let mut event = null_mut();
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtCreateEventWithFlag)(&mut event, TIME_LINE) });
    event
}

/// Memory of this thread's device.
pub(crate) fn malloc(bytes: usize) -> *mut c_void {
    let mut address = null_mut();
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtMalloc)(&mut address, bytes, ACL_MEM_MALLOC_HUGE_FIRST) });
    address
}

#[track_caller]
pub(crate) fn free(address: *mut c_void) {
    // SAFETY: addresses are checked.
    ok(unsafe { (T.aclrtFree)(address) });
}

/// Pinned memory.
pub(crate) fn pinned(bytes: usize) -> *mut c_void {
    let mut address = null_mut();
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtMallocHost)(&mut address, bytes) });
    address
}

#[track_caller]
pub(crate) fn free_pinned(address: *mut c_void) {
    // SAFETY: addresses are checked, and nothing uses the memory any more.
    ok(unsafe { (T.aclrtFreeHost)(address) });
}

/// A copy that is over, on a stream of its own.
///
/// # Safety
/// Host memory is valid for the bytes.
#[track_caller]
pub(crate) unsafe fn copy(
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
) {
    let stream = stream();
    // SAFETY: the caller's promise.
    ok(unsafe { (T.aclrtMemcpyAsync)(to, bytes, from, bytes, kind, stream) });
    synchronize(stream);
    destroy(stream);
}

/// Memory of the device with these bytes.
pub(crate) fn upload(bytes: &[u8]) -> *mut c_void {
    let address = malloc(bytes.len());
    let (len, from) = (bytes.len(), bytes.as_ptr().cast());
    // SAFETY: the host's side is `len` long.
    unsafe { copy(address, from, len, ACL_MEMCPY_HOST_TO_DEVICE) };
    address
}

pub(crate) fn download(address: *const c_void, len: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; len];
    let to = bytes.as_mut_ptr().cast();
    // SAFETY: the host's side is `len` long.
    unsafe { copy(to, address, len, ACL_MEMCPY_DEVICE_TO_HOST) };
    bytes
}

pub(crate) fn upload_floats(values: &[f32]) -> *mut c_void {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    upload(&bytes)
}

pub(crate) fn floats(address: *const c_void, len: usize) -> Vec<f32> {
    let bytes = download(address, len * 4);
    let values = bytes.chunks_exact(4);
    values
        .map(|v| f32::from_ne_bytes(v.try_into().unwrap()))
        .collect()
}

/// A row of floats at an address of the device.
pub(crate) fn tensor(address: *mut c_void, len: i64, stride: i64, offset: i64) -> *mut aclTensor {
    let storage = offset + (len - 1).max(0) * stride + 1;
    let (dims, strides, storage) = ([len], [stride], [storage]);
    // SAFETY: the lists are of the lengths given.
    let tensor = unsafe {
        (T.aclCreateTensor)(
            dims.as_ptr(),
            1,
            ACL_FLOAT,
            strides.as_ptr(),
            offset,
            ACL_FORMAT_ND,
            storage.as_ptr(),
            1,
            address,
        )
    };
    assert!(!tensor.is_null(), "{:?}", message());
    tensor
}

#[track_caller]
pub(crate) fn destroy_tensor(tensor: *mut aclTensor) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclDestroyTensor)(tensor) });
}

/// The first phase of `out = -x`: the workspace's size and the executor.
pub(crate) fn prepare_neg(x: *mut aclTensor, out: *mut aclTensor) -> (u64, *mut aclOpExecutor) {
    let (mut size, mut executor) = (u64::MAX, null_mut());
    // SAFETY: there are places for the results; handles are checked.
    ok(unsafe { (T.aclnnNegGetWorkspaceSize)(x, out, &mut size, &mut executor) });
    (size, executor)
}

/// One number on the device that is negated again and again.
pub(crate) struct Number {
    pub(crate) address: *mut c_void,
    pub(crate) tensor: *mut aclTensor,
}

impl Number {
    pub(crate) fn new(value: f32) -> Self {
        let address = upload_floats(&[value]);
        Self {
            address,
            tensor: tensor(address, 1, 1, 0),
        }
    }

    /// Puts a negation into a stream.
    #[track_caller]
    pub(crate) fn negate(&self, stream: Stream) {
        let (size, executor) = prepare_neg(self.tensor, self.tensor);
        assert_eq!(size, 0);
        // SAFETY: handles are checked, and no workspace is needed.
        ok(unsafe { (T.aclnnNeg)(null_mut(), 0, executor, stream) });
    }

    /// Puts a negation into a stream that refuses it.
    #[track_caller]
    pub(crate) fn negate_refused(&self, stream: Stream, code: i32, text: &str) {
        let (_, executor) = prepare_neg(self.tensor, self.tensor);
        // SAFETY: handles are checked, and no workspace is needed.
        unsafe {
            refused((T.aclnnNeg)(null_mut(), 0, executor, stream), code, text);
            // A stream that is there has used the executor up, as it does when it takes the launch.
            (T.aclDestroyAclOpExecutor)(executor);
        }
    }

    pub(crate) fn value(&self) -> f32 {
        floats(self.address, 1)[0]
    }

    pub(crate) fn end(self) {
        destroy_tensor(self.tensor);
        free(self.address);
    }
}
