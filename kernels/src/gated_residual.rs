//! `x + gate * y`: `dit/gated_residual`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector::{self, PerChannel};

/// The tiling (`ascendit-kernels/src/gated_residual.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `gated_residual` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct GatedResidualTiling {
        /// Rows in all.
        rows: u64,
        /// Rows of a batch.
        batch_rows: u64,
        /// Values from a batch's gate to the next one's.
        gate_stride: u64,
        /// Values of a row.
        columns: u64,
        /// Columns that are worked on at a time.
        piece: u32,
        /// Rows that are in the unified buffer at a time.
        tile_rows: u32,
        /// The gate: 0 none, 1 f32, 2 16-bit.
        gate: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
    }
}

pub use ffi::GatedResidualTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for GatedResidualTiling {}

/// Values of a tile at most: 16 KiB of each operand.
const TILE: u32 = 8192;
/// Columns of a tile at most.
const PIECE: u64 = 4096;

/// Plans a launch over `x, y [B, S, C]`; arguments `x, y, gate or null, out`. The gate is `[B, C]`, `gate_stride` values from one
/// row to the next; 0 for one gate for all.
///
/// # Errors
/// If an axis has no entries.
pub fn plan(
    [batch, sequence, columns]: [u64; 3],
    gate: PerChannel,
    gate_stride: u64,
    dtype: &str,
    chip: &Chip,
) -> Result<Plan, String> {
    vector::check(&[("B", batch), ("S", sequence), ("C", columns)], dtype)?;
    let rows = batch * sequence;
    let blocks = vector::blocks(chip, rows);
    // Pieces of about the same width, in multiples of 256 bytes where there are several.
    let piece = match columns.div_ceil(PIECE) {
        1 => columns,
        pieces => columns.div_ceil(pieces).next_multiple_of(128),
    } as u32;
    let pitch = piece.next_multiple_of(vector::UNIT);
    let most = (TILE / pitch).clamp(1, vector::MAX_ROWS);
    let tile_rows = vector::even_share(rows, blocks, most);
    let tiling = GatedResidualTiling {
        rows,
        batch_rows: if gate_stride == 0 { rows } else { sequence },
        gate_stride,
        columns,
        piece,
        tile_rows,
        gate: gate.code(),
        buffer_bytes: bytes(tile_rows, pitch) as u32,
    };
    let gates = if gate_stride == 0 { 1 } else { batch };
    Ok(Plan {
        kernel: format!("gated_residual_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 3 * 2 * rows * columns + gates * columns * gate.size(),
    })
}

/// Bytes of the unified buffer.
fn bytes(rows: u32, pitch: u32) -> u64 {
    let (values, pitch) = (u64::from(rows * pitch), u64::from(pitch));
    6 * vector::part(2 * values)
        + 2 * vector::part(4 * values)
        + vector::part(4 * pitch)
        + vector::part(2 * pitch)
        + vector::SHIFT
}

/// `--shape B,S,C`, with an f32 gate.
pub const BENCH: Bench = Bench {
    kernel: "gated_residual",
    shape: "B,S,C",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let [b, s, c] = [shape[0], shape[1], shape[2]];
        let plan = plan([b, s, c], PerChannel::F32, c, dtype, chip)?;
        let [x, gate] = [2 * b * s * c, 4 * b * c].map(Operand::Absent);
        Ok((plan, vec![x.clone(), x.clone(), gate, x]))
    },
};
