//! Ascendit runs diffusion transformers that make video and images.
//!
//! Shape letters, used everywhere: `B` batch, `C` channels, `T` frames, `H` `W` height and width,
//! `L` tokens, `D` width, `N` heads, `K` head size.

pub mod backend;
pub mod cancel;
pub mod error;
pub mod graph;
pub mod models;
pub mod nn;
pub mod tensor;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
