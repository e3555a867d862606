//! Rotary position embedding with an optional RMS norm over heads: `dit/rope`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector::{self, PerChannel};

/// The tiling (`ascendit-kernels/src/rope.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `rope` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct RopeTiling {
        /// Batches.
        batch: u64,
        /// Tokens of a batch.
        sequence: u64,
        /// Values from a batch of `x` to the next one.
        x_batch: u64,
        /// Values from a token of `x` to the next one.
        x_token: u64,
        /// Values from a batch of `out` to the next one.
        out_batch: u64,
        /// Values from a token of `out` to the next one.
        out_token: u64,
        /// Values from a batch's table to the next one's; 0 if there is one for all.
        table_batch: u64,
        /// Heads of a token.
        all_heads: u32,
        /// Heads that are worked on at a time.
        heads: u32,
        /// Channels of a head.
        size: u32,
        /// Values of a head in the unified buffer.
        head: u32,
        /// Sections of a head, for halves.
        sections: u32,
        /// Whether neighbours are paired, else halves of sections.
        neighbours: u32,
        /// Tokens that are in the unified buffer at a time.
        tokens: u32,
        /// Values of a token there.
        row: u32,
        /// Whether there is an RMS norm.
        norm: u32,
        /// Its weight: 0 none, 1 f32, 2 16-bit.
        weight: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
        /// Added to the mean square.
        eps: f32,
    }
}

pub use ffi::RopeTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for RopeTiling {}

/// Which channels of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Channel `i` of a section with its channel `i + s / 2`; the head has so many equal sections of `s` channels.
    Halves(u64),
    /// Channel `2 i` with channel `2 i + 1`.
    Neighbours,
}

/// Where a tensor's tokens lie, in values. The heads of a token lie in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// From a batch to the next.
    pub batch: u64,
    /// From a token to the next.
    pub token: u64,
}

/// One rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// `[B, S, H, D]`.
    pub shape: [u64; 4],
    /// Of the input.
    pub x: Strides,
    /// Of the output.
    pub out: Strides,
    /// Which channels turn together.
    pub pairs: Pairs,
    /// Whether each batch has tables of its own.
    pub table_per_batch: bool,
    /// RMS norm over the head in front: its weight and what is added to the mean square.
    pub norm: Option<(PerChannel, f32)>,
}

/// Values of a tile at most.
const TILE: u64 = 8192;
/// Values of a tile's tables at most, where there are several tokens.
const TABLE: u64 = 1024;
/// Values of a head at most, so that a head is at most 255 times 32 bytes of f32.
const HEAD: u64 = 2032;

/// Plans a launch; arguments `x, cos, sin, weight or null, out`.
///
/// # Errors
/// If an axis has no entries, pairs do not fit the head, or a head is too large.
pub fn plan(rope: &Rope, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    let [batch, sequence, all_heads, size] = rope.shape;
    vector::check(
        &[("B", batch), ("S", sequence), ("H", all_heads), ("D", size)],
        dtype,
    )?;
    let (sections, neighbours) = match rope.pairs {
        Pairs::Halves(sections) => (sections, false),
        Pairs::Neighbours => (1, true),
    };
    if sections == 0 || size % (2 * sections) != 0 {
        return Err(format!(
            "{sections} sections do not divide a head of {size} channels into pairs"
        ));
    }
    if neighbours && size % 8 != 0 {
        return Err(format!(
            "a head has {size} channels; neighbours need a multiple of 8"
        ));
    }
    let part = size / 2 / sections;
    let head = match part % 8 == 0 || neighbours {
        true => size,
        false => 2 * sections * part.next_multiple_of(vector::UNIT.into()),
    };
    if head > HEAD {
        return Err(format!(
            "a head has {size} channels; at most {HEAD} fit an instruction"
        ));
    }
    let heads = all_heads.min(TILE / head).min(vector::MAX_ROWS.into());
    // As many in each piece as in the others.
    let heads = all_heads.div_ceil(all_heads.div_ceil(heads));
    let row = (heads * head).next_multiple_of(vector::UNIT.into());
    let most = match rope.norm {
        // The heads of all tokens are rows of one tile.
        Some(_) if row != heads * head => 1,
        Some(_) => u64::from(vector::MAX_ROWS) / heads,
        None => u64::MAX,
    };
    let sections_most = u64::from(vector::MAX_ROWS) / sections;
    let most = most
        .min(TILE / row)
        .min(TABLE / head)
        .min(sections_most)
        .max(1);
    let blocks = vector::blocks(chip, batch * sequence);
    let tokens = vector::even_share(batch * sequence, blocks, most as u32);
    let (weight, eps) = rope.norm.unwrap_or((PerChannel::None, 0.0));
    let [size, head, heads, row] = [size, head, heads, row].map(|v| v as u32);
    let tiling = RopeTiling {
        batch,
        sequence,
        x_batch: rope.x.batch,
        x_token: rope.x.token,
        out_batch: rope.out.batch,
        out_token: rope.out.token,
        table_batch: if rope.table_per_batch {
            sequence * u64::from(size / 2)
        } else {
            0
        },
        all_heads: vector::narrow("H", all_heads)?,
        heads,
        size,
        head,
        sections: sections as u32,
        neighbours: neighbours.into(),
        tokens,
        row,
        norm: rope.norm.is_some().into(),
        weight: weight.code(),
        buffer_bytes: bytes(tokens, row, head, rope.norm.map(|_| tokens * heads)),
        eps,
    };
    let tables = if rope.table_per_batch { batch } else { 1 };
    let values = batch * sequence * all_heads * u64::from(size);
    Ok(Plan {
        kernel: format!("rope_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 2 * 2 * values
            + tables * sequence * u64::from(size) * 4
            + u64::from(size) * weight.size(),
    })
}

/// Bytes of the unified buffer (`Rope::Rope` in `rope.h`); `lines` are the rows of the norm.
fn bytes(tokens: u32, row: u32, head: u32, lines: Option<u32>) -> u32 {
    let part = |values: u32, size: u64| vector::part(size * u64::from(values));
    let (values, table) = (tokens * row, (tokens * head).next_multiple_of(32));
    let norm = lines.map_or(0, |lines| {
        2 * part(lines.next_multiple_of(8), 4)
            + vector::part(vector::row_values(lines, head))
            + vector::part(vector::sums_scratch(lines, head).into())
    });
    let ring = 3 * (part(values, 2) + 2 * part(table / 2, 4));
    (ring + 2 * part(values, 4) + vector::SHIFT + 3 * part(table, 4) + 2 * part(head, 4) + norm)
        as u32
}

/// `--shape B,S,H,D`, by halves, without a norm.
pub const BENCH: Bench = Bench {
    kernel: "rope",
    shape: "B,S,H,D",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let [b, s, h, d] = [shape[0], shape[1], shape[2], shape[3]];
        let dense = Strides {
            batch: s * h * d,
            token: h * d,
        };
        let rope = Rope {
            shape: [b, s, h, d],
            x: dense,
            out: dense,
            pairs: Pairs::Halves(1),
            table_per_batch: false,
            norm: None,
        };
        let plan = plan(&rope, dtype, chip)?;
        let [x, table] = [2 * b * s * h * d, 2 * s * d].map(Operand::Absent);
        Ok((
            plan,
            vec![x.clone(), table.clone(), table, Operand::Null, x],
        ))
    },
};
