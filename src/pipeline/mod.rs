//! What a user asks for, from a request to frames.
//!
//! ```text
//! prompt ─ tokenizer ─► text encoder ─► denoising loop ─► decoder ─► frames
//! ```
//!
//! [`TextToVideo`] holds a checkpoint on a backend. Frames leave through a callback as they are
//! decoded; everything else that a caller may want to see goes through one [`Observer`], which can
//! also cancel. Latents, guidance and samplers live on the host in f32; weights, activations and the
//! decoder's state stay on the device.

mod decode;
mod denoise;
mod encode;
mod estimate;
mod observer;
mod request;

use std::collections::HashMap;
use std::sync::Arc;

pub use decode::Frame;
pub use estimate::{Estimate, StageEstimate, StageGraph, stage_graphs};
pub use observer::{Event, Observer, Silent, Stage};
pub use request::{Request, Settings};

use crate::Result;
use crate::backend::{Backend, DeviceWeights, Program, check_weights};
use crate::checkpoint::{Checkpoint, Component};
use crate::graph::Graph;
use crate::models::{Chunk, DenoiserShape};
use crate::tensor::{DType, HostTensor};
use crate::tokenizers::T5Tokenizer;
use crate::weights::Weights;

/// A checkpoint on a backend, ready to generate. Weights are loaded when they are first needed;
/// programs and embeddings are kept for later requests.
pub struct TextToVideo {
    backend: Arc<dyn Backend>,
    checkpoint: Checkpoint,
    dtype: DType,
    strict: bool,
    tokenizer: T5Tokenizer,
    embeddings: HashMap<(String, usize), encode::Embedding>,
    transformer: Option<DeviceWeights>,
    vae: Option<DeviceWeights>,
    denoiser: Option<(DenoiserShape, Box<dyn Program>)>,
    decoders: HashMap<(Chunk, [usize; 2]), Box<dyn Program>>,
}

/// What a generation gave beside its frames.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The latent before it was decoded, `[1, C, T, H, W]`, as the sampler left it.
    pub latents: HostTensor,
    /// Frames that went to the callback.
    pub frames: usize,
}

impl TextToVideo {
    /// Prepares a checkpoint for a backend. `dtype` is the compute dtype that is wished for; with
    /// `strict`, tensors that no component uses are errors instead of warnings.
    ///
    /// # Errors
    /// If the tokenizer cannot be read or the device cannot compute in `dtype`.
    pub fn new(
        backend: Arc<dyn Backend>,
        checkpoint: Checkpoint,
        dtype: Option<DType>,
        strict: bool,
    ) -> Result<Self> {
        let tokenizer = T5Tokenizer::open(&checkpoint.tokenizer)?;
        let dtype = backend.compute_dtype(dtype)?;
        Ok(Self {
            backend,
            checkpoint,
            dtype,
            strict,
            tokenizer,
            embeddings: HashMap::new(),
            transformer: None,
            vae: None,
            denoiser: None,
            decoders: HashMap::new(),
        })
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The backend.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The dtype of weights and activations on the device.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Generates one video. Frames go to `on_frame` in order; an error of it ends the generation.
    ///
    /// # Errors
    /// If the request does not suit the model, a file does not fit, the device fails, a latent or
    /// frame is not finite, or the observer cancels.
    pub fn generate(
        &mut self,
        request: &Request,
        observer: &dyn Observer,
        on_frame: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<Generated> {
        let settings = Settings::new(request, &self.checkpoint)?;
        let conditioning = self.encode_prompts(&settings, observer)?;
        let latents = self.denoise(&settings, &conditioning, observer)?;
        let frames = self.decode(&settings, &latents, observer, on_frame)?;
        Ok(Generated { latents, frames })
    }

    /// Maps a component's weights and checks that they are all there.
    fn open_weights<M: ?Sized>(
        component: &Component<M>,
        graph: &Graph,
        unused: &[&str],
        strict: bool,
    ) -> Result<Arc<Weights>> {
        let weights = component.weights()?;
        let unexpected = check_weights(component.role, graph, &weights, unused, strict)?;
        if let Some(first) = unexpected.first() {
            tracing::warn!(
                "{}: {} tensors of the file are not used by the model, {first} is the first",
                component.role,
                unexpected.len()
            );
        }
        Ok(Arc::new(weights))
    }
}

/// What to do about values that are not finite.
fn remedy(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "use --dtype bf16 or f32, which hold larger values",
        DType::BF16 => "use --dtype f32; if that does not help, download the weights again",
        _ => "download the weights again: they may be damaged",
    }
}
