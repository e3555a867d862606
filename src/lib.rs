//! Ascendit runs diffusion transformers that make video and images.
//!
//! Shape letters, used everywhere: `B` batch, `C` channels, `T` frames, `H` `W` height and width,
//! `L` tokens, `D` width, `N` heads, `K` head size.

pub mod backend;
pub mod cancel;
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
