//! The program as users run it.

mod commands;
#[allow(dead_code)]
#[path = "../hub/fake_hub.rs"]
mod fake_hub;
mod generate;
mod hub;
mod inspect;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod kernel_bench;
#[path = "../program/mod.rs"]
mod program;
mod stopping;
