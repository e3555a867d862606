//! Ascendit runs diffusion transformers that make video and images.
//!
//! Shape letters, used everywhere: `B` batch, `C` channels, `T` frames, `H` `W` height and width,
//! `L` tokens, `D` width, `N` heads, `K` head size.

pub mod backend;
pub mod checkpoint;
pub mod disk;
pub mod error;
pub mod tensor;

pub use error::{Error, Result};
