#![doc = include_str!("../README.md")]
//!
//! # Conventions
//!
//! Shape letters, used everywhere: `B` batch, `C` channels, `T` frames, `H` `W` height and width,
//! `L` tokens, `D` width, `N` heads, `K` head size.
//!
//! Modules in the order in which data passes through them: [`tokenizers`], [`checkpoint`] and
//! [`weights`] open what was asked for, [`models`] build a [`graph`], a [`backend`] runs it,
//! [`samplers`] step, and [`media`] writes what a [`pipeline`] gives.

pub mod backend;
pub mod cancel;
pub mod cann;
pub mod checkpoint;
pub mod cli;
pub mod disk;
pub mod error;
pub mod graph;
pub mod machine;
pub mod media;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod samplers;
pub mod tensor;
pub mod tokenizers;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
