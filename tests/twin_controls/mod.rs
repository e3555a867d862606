//! The twin's functions that are no part of CANN: what is live, what goes wrong, what was launched.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::ffi::{CString, c_char, c_int};

/// One of them, in the library of that file, which must be open already and stay so.
fn function<T: Copy>(twin: &str, name: &str) -> T {
    // SAFETY: the twin is open already.
    let library = unsafe { libloading::Library::new(twin) }.expect("the twin");
    // SAFETY: callers name the type that the twin's documentation does; the twin stays open.
    *unsafe { library.get::<T>(name) }.expect("the twin's own function")
}

/// What is on the twin: `2 tensors, 1 stream`.
pub(crate) fn live(twin: &str) -> String {
    type Live = unsafe extern "C" fn(*mut c_char, usize) -> usize;
    let live: Live = function(twin, "ascendit_twin_live_objects");
    let mut text = vec![0u8; 1000];
    // SAFETY: the place is as large as is passed with it.
    let len = unsafe { live(text.as_mut_ptr().cast(), text.len()) };
    String::from_utf8(text[..len].to_vec()).expect("a text")
}

/// What goes wrong on the twin, until this is dropped.
pub(crate) struct Faults(String);

impl Faults {
    pub(crate) fn new(twin: &str, faults: &str) -> Self {
        let these = Self(twin.to_owned());
        these.set(faults);
        these
    }

    fn set(&self, faults: &str) {
        type Set = unsafe extern "C" fn(*const c_char) -> c_int;
        let set: Set = function(&self.0, "ascendit_twin_set_faults");
        let text = CString::new(faults).expect("a text");
        // SAFETY: a text that ends in a zero byte.
        assert_eq!(unsafe { set(text.as_ptr()) }, 0, "{faults}");
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.set("");
    }
}

/// Lines of the twin's log of launches while `work` runs.
pub(crate) fn logged(twin: &str, work: impl FnOnce()) -> Vec<serde_json::Value> {
    type Set = unsafe extern "C" fn(c_int);
    type Take = unsafe extern "C" fn(*mut c_char, usize) -> usize;
    let set: Set = function(twin, "ascendit_twin_set_logging");
    let take: Take = function(twin, "ascendit_twin_take_log");
    // SAFETY: it takes any number.
    unsafe { set(1) };
    work();
    // SAFETY: without a place it only counts; then the place is as large as is passed with it.
    let text = unsafe {
        let mut bytes = vec![0u8; take(std::ptr::null_mut(), 0) + 1];
        let len = take(bytes.as_mut_ptr().cast(), bytes.len());
        set(0);
        String::from_utf8(bytes[..len].to_vec()).expect("a text")
    };
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}
