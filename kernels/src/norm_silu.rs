//! Layer norm over channels and group norm, with SiLU, channels last: `vae/norm_silu`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector::{self, PerChannel};

/// The tiling (`ascendit-kernels/src/norm_silu.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `norm_silu` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct NormSiluTiling {
        /// Batches.
        batch: u64,
        /// Positions of a batch.
        positions: u64,
        /// Channels of a position.
        channels: u32,
        /// Groups of channels; 0 for layer norm.
        groups: u32,
        /// Positions that are in the unified buffer at a time.
        tile_rows: u32,
        /// Weight and bias: 0 none, 1 f32, 2 16-bit.
        affine: u32,
        /// Whether SiLU follows.
        silu: u32,
        /// Values of the part where tiles' sums and tables lie, for group norm.
        tables: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
        /// Added to the variance.
        eps: f32,
    }
}

pub use ffi::NormSiluTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for NormSiluTiling {}

/// Over what mean and variance are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The channels of a position.
    Layer,
    /// All positions and the channels of one of so many groups.
    Group(u64),
}

/// Values of a tile of group norm at most: 16 KiB.
const TILE: u64 = 8192;

/// Plans a launch over `x [B, P, C]`; arguments `x, weight, bias, out, workspace`. Layer norm needs no workspace.
///
/// # Errors
/// If an axis has no entries, a row does not fit the unified buffer, or groups do not divide the channels or are too wide.
pub fn plan(
    [batch, positions, channels]: [u64; 3],
    norm: Norm,
    affine: PerChannel,
    silu: bool,
    eps: f32,
    dtype: &str,
    chip: &Chip,
) -> Result<Plan, String> {
    vector::check(&[("B", batch), ("P", positions), ("C", channels)], dtype)?;
    let blocks = match norm {
        Norm::Layer => vector::blocks(chip, batch * positions),
        Norm::Group(_) => vector::blocks(chip, positions),
    };
    let (groups, tile_rows, tables, buffer_bytes, workspace) = match norm {
        Norm::Layer => {
            let rows = vector::even_share(batch * positions, blocks, vector::norm_rows(channels)?);
            let bytes = vector::norm_rows_bytes(rows, channels as u32);
            (0, rows, 0, bytes, 0)
        }
        Norm::Group(groups) => {
            group_norm(positions, channels, groups, blocks)?.with_workspace(batch, blocks)
        }
    };
    let tiling = NormSiluTiling {
        batch,
        positions,
        channels: channels as u32,
        groups,
        tile_rows,
        affine: affine.code(),
        silu: silu.into(),
        tables,
        buffer_bytes: buffer_bytes as u32,
        eps,
    };
    let reads = if norm == Norm::Layer { 1 } else { 2 };
    Ok(Plan {
        kernel: format!("norm_silu_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace,
        flops: 0,
        bytes: (reads + 1) * 2 * batch * positions * channels + 2 * channels * affine.size(),
    })
}

/// Sizes of group norm.
struct GroupTiles {
    groups: u32,
    rows: u32,
    tables: u32,
    bytes: u64,
    pitch: u64,
}

impl GroupTiles {
    /// Groups, rows, values of tables, bytes of the unified buffer and of the workspace.
    fn with_workspace(self, batch: u64, blocks: u32) -> (u32, u32, u32, u64, u64) {
        let workspace = 4 * batch * 2 * (u64::from(blocks) + 1) * self.pitch;
        (self.groups, self.rows, self.tables, self.bytes, workspace)
    }
}

fn group_norm(
    positions: u64,
    channels: u64,
    groups: u64,
    blocks: u32,
) -> Result<GroupTiles, String> {
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("{groups} groups do not divide {channels} channels"));
    }
    let pitch = channels.next_multiple_of(vector::UNIT.into());
    let most = (TILE / pitch).clamp(1, vector::MAX_ROWS.into()) as u32;
    let rows = vector::even_share(positions, blocks, most);
    let tile = u64::from(rows) * pitch;
    let tables = join_values(blocks, channels / groups).max(3 * tile + 64);
    let bytes = 3 * vector::part(2 * tile)
        + vector::part(4 * tables)
        + vector::SHIFT
        + 4 * vector::part(4 * pitch)
        + 512;
    if bytes > vector::UNIFIED_BUFFER.into() {
        return Err(format!(
            "groups of {} of {channels} channels do not fit the unified buffer",
            channels / groups
        ));
    }
    Ok(GroupTiles {
        groups: groups as u32,
        rows,
        tables: tables as u32,
        bytes,
        pitch,
    })
}

/// Values of the tables with which a group of `width` channels is joined (`GroupNorm::join` in `group_norm.h`).
fn join_values(cores: u32, width: u64) -> u64 {
    let pitch = width.next_multiple_of(vector::UNIT.into());
    let scratch =
        |rows: u32, columns: u64| u64::from(vector::sums_scratch(rows, columns as u32) / 4);
    let scratch = scratch(cores, width).max(scratch(1, cores.into()));
    let rows = u64::from(cores.next_multiple_of(8)) + 8 + 2 * 64 + 2 * pitch;
    3 * u64::from(cores) * pitch + rows + scratch
}

/// `--shape B,P,C,GROUPS`, with SiLU and f32 weights; 0 groups for layer norm.
pub const BENCH: Bench = Bench {
    kernel: "norm_silu",
    shape: "B,P,C,GROUPS",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let [b, p, c] = [shape[0], shape[1], shape[2]];
        let norm = match shape[3] {
            0 => Norm::Layer,
            groups => Norm::Group(groups),
        };
        let plan = plan([b, p, c], norm, PerChannel::F32, true, 1e-6, dtype, chip)?;
        let [x, row, workspace] = [2 * b * p * c, 4 * c, plan.workspace].map(Operand::Absent);
        Ok((plan, vec![x.clone(), row.clone(), row, x, workspace]))
    },
};
