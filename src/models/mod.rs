//! One file per published architecture, named as its paper names it.
//!
//! A model reads its checkpoint's own config, validates it, and builds a [`crate::graph::Graph`] for
//! concrete shapes. It knows no backend, so a model cannot be written for one device only. Every
//! file says which paper and which files of the authors' code it follows.
//!
//! Pipelines know no architecture by name: they ask a [`Denoiser`], a [`TextEncoder`] and a
//! [`VideoAutoencoder`] for what they need.

pub mod config;
pub mod dit;
pub mod open_sora_plan_v1_3;
pub mod t5;
pub mod uvit;
pub mod wf_vae;

use crate::graph::Graph;
use crate::tensor::DType;

/// A transformer that predicts what a sampler needs from a noisy latent, a timestep and text.
pub trait Denoiser: Send + Sync {
    /// Channels of the latent.
    fn latent_channels(&self) -> usize;

    /// Latent frames, rows and columns per token; latents are multiples of it.
    fn patch(&self) -> [usize; 3];

    /// Width of the text embeddings.
    fn text_width(&self) -> usize;

    /// The latent `[T, H, W]` that the config names as the training shape.
    fn trained_latent(&self) -> Option<[usize; 3]>;

    /// The graph with inputs `hidden_states [B, C, T, H, W] f32`, `timestep [B] f32`,
    /// `encoder_hidden_states [B, L, text_width] f32`, `encoder_lengths [B] i64` and the output
    /// `sample [B, C, T, H, W] f32`.
    fn graph(&self, shape: &DenoiserShape, compute: DType) -> Graph;
}

/// The shape that a [`Denoiser`]'s graph is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DenoiserShape {
    /// Rows: samples times guidance branches.
    pub batch: usize,
    /// Latent `[T, H, W]`.
    pub latent: [usize; 3],
    /// Text tokens, padding included.
    pub text: usize,
}

/// A transformer that turns tokens into embeddings.
pub trait TextEncoder: Send + Sync {
    /// Width of the embeddings.
    fn width(&self) -> usize;

    /// Number of token ids that have an embedding.
    fn vocabulary(&self) -> usize;

    /// Whether a tensor that the graph does not use is known to be in such checkpoints.
    fn known_unused(&self, name: &str) -> bool;

    /// The graph with inputs `input_ids [B, L] i64`, `attention_mask [B, L] f32` (1 to keep) and the
    /// output `last_hidden_state [B, L, D] f32`.
    fn graph(&self, batch: usize, tokens: usize, compute: DType) -> Graph;
}

/// An autoencoder between videos and latents.
pub trait VideoAutoencoder: Send + Sync {
    /// Channels of the latent.
    fn latent_channels(&self) -> usize;

    /// Frames, rows and columns of the video per latent entry; the first latent frame stands for one
    /// frame, so that `1 + (T - 1) factor` frames are `T` latent ones.
    fn factors(&self) -> [usize; 3];

    /// Per latent channel, `(factor, mean)`: the denoiser works on `(latent - mean) * factor`.
    fn normalisation(&self) -> Vec<(f32, f32)>;

    /// Whether decoding in chunks equals decoding at once.
    fn streams(&self) -> bool;

    /// The decoder's graph for one chunk: inputs `latent [1, C, t, h, w] f32` and then the state of
    /// the chunk before; outputs `video [1, 3, T, H, W] f32` in about [-1, 1] and then the state for
    /// the next chunk.
    fn decoder(&self, chunk: Chunk, height: usize, width: usize, compute: DType) -> Graph;
}

/// Which part of a video a chunk of latent frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Latent frames in it.
    pub frames: usize,
    /// The video begins with it; no state goes in.
    pub first: bool,
    /// The video ends with it; no state comes out.
    pub last: bool,
}

impl Chunk {
    /// A whole video as one chunk.
    pub fn whole(frames: usize) -> Self {
        Self {
            frames,
            first: true,
            last: true,
        }
    }
}

/// The chunks of `frames` latent frames: the first has one frame more than `chunk`, because the
/// first latent frame stands for one video frame only.
pub fn chunks(frames: usize, chunk: usize) -> Vec<Chunk> {
    let chunk = chunk.max(1);
    let mut lengths = vec![frames.min(1 + chunk)];
    let mut left = frames - lengths[0];
    while left > 0 {
        lengths.push(left.min(chunk));
        left -= left.min(chunk);
    }
    let last = lengths.len() - 1;
    let part = |(i, frames): (usize, usize)| Chunk {
        frames,
        first: i == 0,
        last: i == last,
    };
    lengths.into_iter().enumerate().map(part).collect()
}
