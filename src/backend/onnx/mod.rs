//! The ONNX Runtime backend.
//!
//! ONNX Runtime is a shared library that is opened at run time. [`library`] finds one on this
//! machine, [`setup`] gets the official one where there is none, and [`cuda`] looks for what its
//! CUDA provider needs.

pub mod cuda;
mod elf;
pub mod library;
pub mod places;
pub mod setup;
mod subprocess;
pub mod wheel;
