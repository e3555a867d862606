//! Layer norm over the last axis with scale and shift, weight and bias, or neither: `dit/ada_layer_norm`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector::{self, PerChannel};

/// The tiling (`ascendit-kernels/src/ada_layer_norm.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `ada_layer_norm` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct AdaLayerNormTiling {
        /// Rows in all.
        rows: u64,
        /// Rows of a batch.
        batch_rows: u64,
        /// Values from a batch's scale to the next one's.
        affine_stride: u64,
        /// Values of a row.
        columns: u32,
        /// Rows that are in the unified buffer at a time.
        tile_rows: u32,
        /// Scale and shift: 0 none, 1 f32, 2 16-bit.
        affine: u32,
        /// Whether 1 is added to the scale.
        one_plus: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
        /// Added to the variance.
        eps: f32,
    }
}

pub use ffi::AdaLayerNormTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for AdaLayerNormTiling {}

/// What follows the norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affine {
    /// Nothing; the pointers are null.
    None,
    /// `* weight [C] + bias [C]`.
    Weight(PerChannel),
    /// `* (1 + scale [B, C]) + shift [B, C]`, and how many values lie from one row of them to the next.
    Modulation(PerChannel, u64),
}

/// Plans a launch over `x [B, S, C]`; arguments `x, shift or bias, scale or weight, out`.
///
/// # Errors
/// If an axis has no entries, or a row does not fit the unified buffer.
pub fn plan(
    [batch, sequence, columns]: [u64; 3],
    affine: Affine,
    eps: f32,
    dtype: &str,
    chip: &Chip,
) -> Result<Plan, String> {
    vector::check(&[("B", batch), ("S", sequence), ("C", columns)], dtype)?;
    let (per_channel, stride, one_plus) = match affine {
        Affine::None => (PerChannel::None, 0, false),
        Affine::Weight(given) => (given, 0, false),
        Affine::Modulation(given, stride) => (given, stride, true),
    };
    let rows = batch * sequence;
    let blocks = vector::blocks(chip, rows);
    let most = vector::norm_rows(columns)?;
    let tile_rows = vector::even_share(rows, blocks, most);
    let tiling = AdaLayerNormTiling {
        rows,
        batch_rows: if stride == 0 { rows } else { sequence },
        affine_stride: stride,
        columns: columns as u32,
        tile_rows,
        affine: per_channel.code(),
        one_plus: one_plus.into(),
        buffer_bytes: vector::norm_rows_bytes(tile_rows, columns as u32) as u32,
        eps,
    };
    let batches = if stride == 0 { 1 } else { batch };
    Ok(Plan {
        kernel: format!("ada_layer_norm_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 2 * 2 * rows * columns + 2 * batches * columns * per_channel.size(),
    })
}

/// `--shape B,S,C`, with f32 modulation.
pub const BENCH: Bench = Bench {
    kernel: "ada_layer_norm",
    shape: "B,S,C",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let [b, s, c] = [shape[0], shape[1], shape[2]];
        let plan = plan(
            [b, s, c],
            Affine::Modulation(PerChannel::F32, c),
            1e-6,
            dtype,
            chip,
        )?;
        let [x, row] = [2 * b * s * c, 4 * b * c].map(Operand::Absent);
        Ok((plan, vec![x.clone(), row.clone(), row, x]))
    },
};
