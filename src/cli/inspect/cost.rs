//! What a generation costs on a device.

use serde::Serialize;

use super::super::output::{count_text, table};
use crate::backend::Device;
use crate::checkpoint::Checkpoint;
use crate::disk::size_text;
use crate::pipeline::{Estimate, Settings, Stage};
use crate::tensor::DType;

/// The estimate for one device.
#[derive(Serialize)]
pub(super) struct DeviceCost {
    device: String,
    dtype: &'static str,
    stages: Vec<StageCost>,
    flops: u64,
    /// Weights and activations that are in memory at once, at the most.
    peak_bytes: u64,
    /// What is enough where weights can stay in their mapped files.
    least_bytes: Option<u64>,
}

#[derive(Serialize)]
struct StageCost {
    stage: Stage,
    runs: usize,
    flops: u64,
    weight_bytes: u64,
    activation_bytes: u64,
    /// With the weights of stages that stay.
    memory_bytes: u64,
}

impl DeviceCost {
    pub(super) fn new(
        device: Device,
        dtype: DType,
        settings: &Settings,
        checkpoint: &Checkpoint,
    ) -> Self {
        let estimate = Estimate::on(device.kind, settings, checkpoint, dtype);
        let memory = estimate.stage_bytes();
        let stages: Vec<StageCost> = estimate
            .stages
            .iter()
            .zip(memory)
            .map(|(stage, (_, memory_bytes))| StageCost {
                stage: stage.stage,
                runs: stage.runs,
                flops: stage.flops,
                weight_bytes: stage.weight_bytes,
                activation_bytes: stage.activation_bytes,
                memory_bytes,
            })
            .collect();
        let on_host = device.kind.on_host();
        Self {
            device: device.to_string(),
            dtype: dtype.name(),
            flops: stages.iter().map(|s| s.flops).sum(),
            peak_bytes: estimate.peak_bytes(),
            least_bytes: on_host.then(|| {
                let activations = stages.iter().map(|s| s.activation_bytes);
                activations.max().unwrap_or(0)
            }),
            stages,
        }
    }

    pub(super) fn text(&self) -> String {
        let head = ["", "runs", "FLOP", "weights", "activations", "in memory"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows[0][0] = format!("{}, {}", self.device, self.dtype);
        for stage in &self.stages {
            rows.push(vec![
                stage.stage.to_string(),
                stage.runs.to_string(),
                count_text(stage.flops as f64),
                size_text(stage.weight_bytes),
                size_text(stage.activation_bytes),
                size_text(stage.memory_bytes),
            ]);
        }
        let mut line = format!(
            "in all {}FLOP, peak memory about {}",
            count_text(self.flops as f64),
            size_text(self.peak_bytes)
        );
        if let Some(least) = self.least_bytes {
            line += &format!(
                " (at least {}, slower, with weights left in their files)",
                size_text(least)
            );
        }
        format!("{}\n{line}", table(&rows))
    }
}
