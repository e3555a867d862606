//! What a generation will cost, from its graphs alone.

use serde::Serialize;

use super::{Settings, Stage};
use crate::checkpoint::Checkpoint;
use crate::graph::{Graph, cost};
use crate::models::{Chunk, DenoiserShape, chunks};
use crate::tensor::DType;

/// The cost of one stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageEstimate {
    /// `encode`, `denoise` or `decode`.
    pub stage: String,
    /// Floating point operations of the whole stage.
    pub flops: u64,
    /// How often the model runs.
    pub runs: usize,
    /// Bytes of the weights in the compute dtype.
    pub weight_bytes: u64,
    /// The largest sum of activations that are alive at once.
    pub activation_bytes: u64,
}

/// The cost of a generation.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Stages in order.
    pub stages: Vec<StageEstimate>,
}

impl Estimate {
    /// Counts the graphs of a generation. The text encoder is gone when the transformer comes; the
    /// transformer stays while the decoder works.
    pub fn new(settings: &Settings, checkpoint: &Checkpoint, dtype: DType) -> Self {
        let branches = if settings.guided() { 2 } else { 1 };
        let text = checkpoint
            .text_encoder
            .model
            .graph(1, settings.text_tokens, dtype);
        let shape = DenoiserShape {
            batch: branches,
            latent: settings.latent,
            text: settings.text_tokens,
        };
        let denoiser = checkpoint.transformer.model.graph(&shape, dtype);
        let [t, h, w] = settings.latent;
        let plan = match settings.decode_chunk {
            Some(chunk) => chunks(t, chunk),
            None => vec![Chunk::whole(t)],
        };
        let mut decode: Option<StageEstimate> = None;
        for chunk in plan {
            let graph = checkpoint.vae.model.decoder(chunk, h, w, dtype);
            let part = stage(Stage::Decode, &graph, 1);
            decode = Some(match decode {
                None => part,
                Some(sum) => StageEstimate {
                    flops: sum.flops + part.flops,
                    runs: sum.runs + 1,
                    activation_bytes: sum.activation_bytes.max(part.activation_bytes),
                    ..sum
                },
            });
        }
        let mut stages = vec![
            stage(Stage::Encode, &text, branches),
            stage(Stage::Denoise, &denoiser, settings.steps),
        ];
        stages.extend(decode);
        Self { stages }
    }

    /// Bytes that must be there at once.
    pub fn peak_bytes(&self) -> u64 {
        let alone = |stage: &StageEstimate| stage.weight_bytes + stage.activation_bytes;
        let mut kept = 0;
        let mut peak = 0;
        for stage in &self.stages {
            peak = peak.max(kept + alone(stage));
            if stage.stage != Stage::Encode.to_string() {
                kept += stage.weight_bytes;
            }
        }
        peak
    }
}

fn stage(stage: Stage, graph: &Graph, runs: usize) -> StageEstimate {
    StageEstimate {
        stage: stage.to_string(),
        flops: cost::of_graph(graph).flops * runs as u64,
        runs,
        weight_bytes: cost::weight_bytes(graph),
        activation_bytes: cost::peak_activation_bytes(graph),
    }
}
