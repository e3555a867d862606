//! What a generation will cost, from its graphs alone.

use serde::Serialize;

use super::{Settings, Stage};
use crate::backend::DeviceKind;
use crate::backend::cann::lower::Target;
use crate::backend::cann::plan::Plan;
use crate::backend::cann::predict::workspace_bytes;
use crate::backend::cann::soc::{SOCS, Soc};
use crate::checkpoint::Checkpoint;
use crate::graph::{Graph, cost};
use crate::models::{Chunk, DenoiserShape, chunks};
use crate::tensor::{DType, numel};

/// A graph that a generation runs.
pub struct StageGraph {
    /// The stage it belongs to. A decoder that streams has one graph for each kind of chunk.
    pub stage: Stage,
    /// The graph.
    pub graph: Graph,
    /// How often it runs.
    pub runs: usize,
}

/// Bytes of a plan's values, inputs, results and, as an estimate, its operators' workspace.
fn plan_bytes(plan: &Plan) -> u64 {
    let sizes = plan.graph.inputs.iter().chain(&plan.graph.outputs);
    let outside = sizes.map(|port| {
        let (dtype, shape) = plan.graph.type_of(port.node);
        (numel(&shape) * dtype.size_bytes()) as u64
    });
    plan.arena_bytes as u64 + outside.sum::<u64>() + workspace_bytes(plan, LARGEST_CHIP)
}

/// The chip whose operators take the most workspace.
const LARGEST_CHIP: &Soc = &SOCS[0];

/// All graphs of a generation, in the order of their first run.
pub fn stage_graphs(settings: &Settings, checkpoint: &Checkpoint, dtype: DType) -> Vec<StageGraph> {
    let branches = if settings.guided() { 2 } else { 1 };
    let text = &checkpoint.text_encoder.model;
    let shape = DenoiserShape {
        batch: branches,
        latent: settings.latent,
        text: settings.text_tokens,
    };
    let mut graphs = vec![
        StageGraph {
            stage: Stage::Encode,
            graph: text.graph(1, settings.text_tokens, dtype),
            runs: branches,
        },
        StageGraph {
            stage: Stage::Denoise,
            graph: checkpoint.transformer.model.graph(&shape, dtype),
            runs: settings.denoiser_runs,
        },
    ];
    let [t, h, w] = settings.latent;
    let plan = match settings.decode_chunk {
        Some(chunk) => chunks(t, chunk),
        None => vec![Chunk::whole(t)],
    };
    let mut kinds: Vec<(Chunk, usize)> = vec![];
    for chunk in plan {
        match kinds.iter_mut().find(|(known, _)| *known == chunk) {
            Some((_, runs)) => *runs += 1,
            None => kinds.push((chunk, 1)),
        }
    }
    graphs.extend(kinds.into_iter().map(|(chunk, runs)| StageGraph {
        stage: Stage::Decode,
        graph: checkpoint.vae.model.decoder(chunk, h, w, dtype),
        runs,
    }));
    graphs
}

/// The cost of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageEstimate {
    /// `encode`, `denoise` or `decode`.
    pub stage: Stage,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Stages in order.
    pub stages: Vec<StageEstimate>,
}

impl Estimate {
    /// Counts the graphs of a generation.
    pub fn new(settings: &Settings, checkpoint: &Checkpoint, dtype: DType) -> Self {
        Self::of_graphs(&stage_graphs(settings, checkpoint, dtype))
    }

    /// The same for a device of a kind: on those that run plans of launches, values lie in the plan's
    /// arena, and operators want workspace.
    pub fn on(
        kind: DeviceKind,
        settings: &Settings,
        checkpoint: &Checkpoint,
        dtype: DType,
    ) -> Self {
        let graphs = stage_graphs(settings, checkpoint, dtype);
        let mut estimate = Self::of_graphs(&graphs);
        if matches!(kind, DeviceKind::Cann | DeviceKind::Twin) {
            for stage in &mut estimate.stages {
                let of_stage = graphs.iter().filter(|part| part.stage == stage.stage);
                let bytes = of_stage.map(|part| plan_bytes(&Plan::new(&part.graph, Target::CANN)));
                stage.activation_bytes = bytes.max().unwrap_or(0);
            }
        }
        estimate
    }

    /// Counts graphs from [`stage_graphs`].
    pub fn of_graphs(graphs: &[StageGraph]) -> Self {
        let mut stages: Vec<StageEstimate> = vec![];
        for StageGraph { stage, graph, runs } in graphs {
            let flops = cost::of_graph(graph).flops * *runs as u64;
            let (weights, activations) = (
                cost::weight_bytes(graph),
                cost::peak_activation_bytes(graph),
            );
            match stages.iter_mut().find(|sum| sum.stage == *stage) {
                Some(sum) => {
                    sum.flops += flops;
                    sum.runs += runs;
                    sum.weight_bytes = sum.weight_bytes.max(weights);
                    sum.activation_bytes = sum.activation_bytes.max(activations);
                }
                None => stages.push(StageEstimate {
                    stage: *stage,
                    flops,
                    runs: *runs,
                    weight_bytes: weights,
                    activation_bytes: activations,
                }),
            }
        }
        Self { stages }
    }

    /// Bytes that are there at once in each stage, with all weights in memory. The text encoder is
    /// gone when the transformer comes; the transformer stays while the decoder works.
    pub fn stage_bytes(&self) -> Vec<(Stage, u64)> {
        let mut kept = 0;
        let mut bytes = vec![];
        for stage in &self.stages {
            bytes.push((
                stage.stage,
                kept + stage.weight_bytes + stage.activation_bytes,
            ));
            if stage.stage != Stage::Encode {
                kept += stage.weight_bytes;
            }
        }
        bytes
    }

    /// The largest of [`Estimate::stage_bytes`].
    pub fn peak_bytes(&self) -> u64 {
        let bytes = self.stage_bytes().into_iter().map(|(_, bytes)| bytes);
        bytes.max().unwrap_or(0)
    }
}
