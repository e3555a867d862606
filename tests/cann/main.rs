//! The safe layer over CANN: opening libraries made for the test, and everything else on the twin.

#![cfg(target_os = "linux")]

mod fake;
mod faults;
mod memory;
mod opening;
mod ops;
mod process;
mod profile;
mod streams;
mod twin;
#[path = "../twin_controls/mod.rs"]
mod twin_controls;
