//! What a plan will take on a chip, by counting: a range, never a measurement.
//!
//! The lower end is the roofline: each launch takes the longer of its operations at the chip's peak and
//! its bytes at the memory's. The upper end takes efficiencies from published measurements of CANN's
//! operators on 910B chips: large products 0.88 of the peak, attention 0.51 at 128 channels a head
//! (its time per query and key hardly depends on the channels), elementwise operators 0.69 of the
//! memory's rate. Convolutions have no published measurement: 0.75 of the peak and two passes for the
//! change of format that CANN does inside are an estimate. Kernels of our own are taken to reach the same
//! shares as CANN's operators, without a change of format, unless the timing model was asked.

use std::collections::HashMap;

use super::call::{Aclnn, Call};
use super::plan::Plan;
use super::soc::Soc;
use crate::tensor::{DType, numel};

/// Rows from which on a product is large.
const LARGE_ROWS: usize = 16_384;
/// Share of the peak that large products reach, and smaller ones.
const PRODUCTS: [f64; 2] = [0.88, 0.62];
/// Share of the peak that attention with 128 channels a head reaches.
const ATTENTION: f64 = 0.51;
/// What is left of it where there are few keys, and how few.
const FEW_KEYS: (usize, f64) = (512, 0.8);
/// Share of the peak that convolutions are taken to reach.
const CONVOLUTION: f64 = 0.75;
/// Share of the memory's rate that elementwise operators reach.
const STREAMING: f64 = 0.69;
/// Seconds that a launch takes at least.
const LAUNCH: f64 = 3e-6;
/// Bytes of workspace per cube core that attention takes: scores, weights and sums of a few tiles.
const ATTENTION_WORKSPACE: u64 = 1_300_000;

/// A range of seconds, by counting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// No run can take less.
    pub roofline_s: f64,
    /// What CANN's operators are likely to take.
    pub calibrated_s: f64,
}

/// Seconds of one run of a plan. `timed` has what the timing model says of launches of our own kernels, by
/// their places ([`super::timing::seconds`]); it may be empty.
pub fn predict(plan: &Plan, timed: &HashMap<usize, f64>, soc: &Soc) -> Prediction {
    let mut sum = Prediction::default();
    for (index, launch) in plan.launches.iter().enumerate() {
        let one = of_call(&launch.call, soc);
        sum.roofline_s += one.roofline_s;
        sum.calibrated_s += timed
            .get(&index)
            .map_or(one.calibrated_s, |s| s.max(LAUNCH));
    }
    sum
}

/// Bytes of workspace that the operators of a plan ask for at once, as an estimate: what CANN really
/// asks for, only CANN says.
pub fn workspace_bytes(plan: &Plan, soc: &Soc) -> u64 {
    let of_call = |call: &Call| match &call.op {
        Aclnn::Kernel(kernel) => kernel.plan.workspace,
        Aclnn::Convolution { .. } => reformatted_bytes(call) / 2,
        Aclnn::FlashAttentionScore { .. } | Aclnn::PromptFlashAttention { .. } => {
            soc.cube_cores as u64 * ATTENTION_WORKSPACE
        }
        _ => 0,
    };
    let calls = plan.launches.iter().map(|launch| of_call(&launch.call));
    calls.max().unwrap_or(0)
}

fn of_call(call: &Call, soc: &Soc) -> Prediction {
    let peak = soc.peak();
    let dtype = call.inputs.first().map_or(DType::F32, |view| view.dtype);
    let work = call.flops() as f64 / peak.flops(dtype);
    let traffic = (call.bytes() + call.hidden_bytes()) as f64 / peak.bytes_per_s;
    let calibrated = match &call.op {
        Aclnn::Kernel(kernel) if kernel.plan.kernel.starts_with("attention") => {
            let (keys, channels) = (call.inputs[1].shape[1], call.inputs[0].shape[3]);
            (work / attention_share(keys, channels, soc)).max(traffic / STREAMING)
        }
        Aclnn::Kernel(_) => (work / CONVOLUTION).max(traffic / STREAMING),
        Aclnn::Matmul | Aclnn::Addmm | Aclnn::BatchMatMul => {
            let rows = numel(&call.outputs[0].shape) / call.outputs[0].shape.last().unwrap_or(&1);
            let share = PRODUCTS[usize::from(rows < LARGE_ROWS)];
            (work / share).max(traffic / STREAMING)
        }
        Aclnn::FlashAttentionScore { .. } | Aclnn::PromptFlashAttention { .. } => {
            let (keys, channels) = (call.inputs[1].shape[1], call.inputs[0].shape[3]);
            (work / attention_share(keys, channels, soc)).max(traffic / STREAMING)
        }
        Aclnn::Convolution { .. } => {
            let inside = reformatted_bytes(call) as f64 / peak.bytes_per_s / STREAMING;
            (work / CONVOLUTION).max(traffic / STREAMING) + inside
        }
        _ => traffic / STREAMING,
    };
    Prediction {
        // What CANN does beside is no part of what must be done.
        roofline_s: work.max(call.bytes() as f64 / peak.bytes_per_s),
        calibrated_s: calibrated.max(LAUNCH),
    }
}

/// Share of the peak that attention reaches.
fn attention_share(keys: usize, channels: usize, soc: &Soc) -> f64 {
    let share = ATTENTION * soc.attention * (channels as f64 / 128.0).min(1.0);
    match keys <= FEW_KEYS.0 {
        true => share * FEW_KEYS.1,
        false => share,
    }
}

/// Bytes that change format inside a convolution, read and written: operand and result, channels in
/// sixteens.
fn reformatted_bytes(call: &Call) -> u64 {
    let bytes = |shape: &[usize], size: usize| {
        let channels = shape[1].next_multiple_of(16);
        (numel(shape) / shape[1] * channels * size) as u64
    };
    let views = [&call.inputs[0], &call.outputs[0]];
    let sizes = views.map(|view| bytes(&view.shape, view.dtype.size_bytes()));
    2 * (sizes[0] + sizes[1])
}
