//! A twin of an Ascend 910B: CANN's C interface, computing on the CPU.
//!
//! It is one shared library that exports what CANN's four libraries do and that is opened as they are.
//! Memory of its devices cannot be touched by the host, streams run by themselves, operators refuse what
//! CANN refuses, handles that are not live are refused, and what is left at the end is reported. Nothing
//! that it takes says anything about how long a chip takes.
//!
//! The environment sets what is simulated: `ASCENDIT_TWIN_DEVICES`, `ASCENDIT_TWIN_MEMORY`,
//! `ASCENDIT_TWIN_SOC` and the faults of the module `fault`.

// Names are CANN's.
#![allow(non_snake_case)]

mod array;
mod error;
mod fault;
mod log;
mod nnop;
mod ops;
mod rules;
mod runtime;
mod symbols;
mod table;

use std::ffi::{CStr, c_char};
use std::io::Write;

pub use table::TABLE;

/// What is live: `2 tensors, 1 stream`; empty when nothing is.
fn live_objects() -> String {
    let mut counts = runtime::runtime().live();
    counts.extend(nnop::live());
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let texts = counts.map(|(count, kind)| match count {
        1 => format!("1 {kind}"),
        n => format!("{n} {kind}s"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Tells of something on stderr, as far as there is one.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "twin: {text}");
}

fn report_leaks() {
    let live = live_objects();
    if !live.is_empty() {
        tell(&format!("left at the end: {live}"));
    }
}

/// At the end of a process that did not call `aclFinalize`.
extern "C" fn at_exit() {
    let held = runtime::runtime();
    let open = held.initialized;
    drop(held);
    if open {
        tell("aclFinalize was not called");
        report_leaks();
    }
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".fini_array"))]
static AT_EXIT: extern "C" fn() = at_exit;

/// Copies a text to a place with room for `len` bytes, with a 0 behind it, as much as fits; its length.
///
/// # Safety
/// `to` is null or valid for `len` bytes.
unsafe fn give(text: &str, to: *mut c_char, len: usize) -> usize {
    if !to.is_null() && len > 0 {
        let count = text.len().min(len - 1);
        // SAFETY: the caller's promise.
        unsafe {
            to.cast::<u8>().copy_from(text.as_ptr(), count);
            to.add(count).write(0);
        }
    }
    text.len()
}

/// What is live, as text. For tests; no part of CANN.
///
/// # Safety
/// `to` is null or valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ascendit_twin_live_objects(to: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { give(&live_objects(), to, len) }
}

/// Replaces the faults of the environment; 0, or 1 for a text that names none. For tests; no part of
/// CANN.
///
/// # Safety
/// `faults` is null, for no faults, or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ascendit_twin_set_faults(faults: *const c_char) -> i32 {
    let text = match faults.is_null() {
        true => "".into(),
        // SAFETY: the caller's promise.
        false => unsafe { CStr::from_ptr(faults) }.to_string_lossy(),
    };
    match fault::set(&text) {
        Ok(()) => 0,
        Err(why) => {
            error::note("ascendit_twin_set_faults", error::INVALID_PARAM, &why);
            1
        }
    }
}

/// Begins (1) or ends (0) keeping a log of launches. For tests; no part of CANN.
#[unsafe(no_mangle)]
pub extern "C" fn ascendit_twin_set_logging(on: i32) {
    log::keep(on != 0);
}

/// The log so far, as JSON lines. With a null pointer, only its length, and nothing is forgotten.
/// For tests; no part of CANN.
///
/// # Safety
/// `to` is null or valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ascendit_twin_take_log(to: *mut c_char, len: usize) -> usize {
    if to.is_null() {
        return log::len();
    }
    // SAFETY: the caller's promise.
    unsafe { give(&log::take().join("\n"), to, len) }
}
