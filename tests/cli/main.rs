//! The program as users run it.

mod commands;
#[allow(dead_code)]
#[path = "../hub/fake_hub.rs"]
mod fake_hub;
mod generate;
mod hub;
mod inspect;
#[path = "../program/mod.rs"]
mod program;
mod stopping;
