//! Enlargement of video by two in space and time, channels last: `vae/upsample`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector;

/// The tiling (`ascendit-kernels/src/upsample.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `upsample` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct UpsampleTiling {
        /// Batches.
        batch: u32,
        /// Frames of `x`.
        frames: u32,
        /// Frames of `out`.
        out_frames: u32,
        /// Rows of `x`.
        height: u32,
        /// Columns of `x`.
        width: u32,
        /// Channels.
        channels: u32,
        /// 0 kept, 1 nearest, 2 linear.
        time: u32,
        /// 0 kept, 1 nearest, 2 linear.
        space: u32,
        /// Whether the video begins with `x`.
        first: u32,
        /// Columns of a piece.
        piece_columns: u32,
        /// Channels of a piece.
        piece_channels: u32,
        /// Pieces of a row.
        across: u32,
        /// Pieces of a pixel.
        deep: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
    }
}

pub use ffi::UpsampleTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for UpsampleTiling {}

/// How an axis is enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enlarge {
    /// Not at all.
    Kept,
    /// Each entry twice.
    Nearest,
    /// Between neighbours, 3/4 of the nearer one.
    Linear,
}

/// Part of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Frames of it.
    pub frames: u64,
    /// Whether the video begins with it.
    pub first: bool,
    /// Whether the video ends with it.
    pub last: bool,
}

impl Chunk {
    /// Frames that come out. The first frame of a video stays single. Linear: a pair for each two neighbours behind it, the frame
    /// before the chunk included; the first of them in front of the pairs of a first chunk, and the last one behind those of a last.
    pub fn out_frames(self, time: Enlarge) -> u64 {
        let Self {
            frames,
            first,
            last,
        } = self;
        match time {
            Enlarge::Kept => frames,
            _ if first && frames == 1 => 1,
            Enlarge::Nearest => 2 * frames - u64::from(first),
            Enlarge::Linear if first => 2 + 2 * (frames - 2) + u64::from(last),
            Enlarge::Linear => 2 * frames + u64::from(last),
        }
    }
}

/// Channels of a piece where there are more: stores are runs of 512 bytes.
const CHANNELS: u64 = 256;

/// Plans a launch over a chunk `[B, frames, H, W, C]`; arguments `x, before or null, out`. `before`, the frame before the chunk, is
/// wanted for linear time where the chunk is not the first.
///
/// # Errors
/// If an axis has no entries or is too long.
pub fn plan(
    batch: u64,
    chunk: Chunk,
    [height, width, channels]: [u64; 3],
    time: Enlarge,
    space: Enlarge,
    dtype: &str,
    chip: &Chip,
) -> Result<Plan, String> {
    let sizes = [
        ("B", batch),
        ("T", chunk.frames),
        ("H", height),
        ("W", width),
        ("C", channels),
    ];
    vector::check(&sizes, dtype)?;
    for (name, size) in sizes {
        vector::narrow(name, 2 * size)?;
    }
    let linear = space == Enlarge::Linear;
    let (factor, halo) = (
        if space == Enlarge::Kept { 1 } else { 2 },
        if linear { 2 } else { 0 },
    );
    let deep = channels.div_ceil(if channels <= 2 * CHANNELS && !linear {
        channels
    } else {
        CHANNELS
    });
    let piece_channels = channels
        .div_ceil(deep)
        .next_multiple_of(vector::UNIT.into())
        .min(channels);
    let pitch = piece_channels.next_multiple_of(vector::UNIT.into());
    let bytes = |columns: u64| {
        let (outer, inner) = ((columns + halo) * pitch, columns * pitch);
        let rows = if linear { 3 + 4 } else { 1 + 1 };
        let frames = 4 * vector::part(2 * outer) + 2 * vector::part(2 * factor * inner);
        frames + rows * vector::part(4 * outer) + vector::SHIFT
    };
    let fitting =
        (1..=width).take_while(|columns| bytes(*columns) <= vector::UNIFIED_BUFFER.into());
    let most = fitting
        .last()
        .ok_or("a pixel does not fit the unified buffer")?;
    // Runs of an instruction are at most 4095.
    let piece_columns = width.div_ceil(width.div_ceil(most.min(2040)));
    let across = width.div_ceil(piece_columns);
    let out_frames = chunk.out_frames(time);
    let blocks = vector::blocks(chip, batch * out_frames * across * deep * height);
    let tiling = UpsampleTiling {
        batch: batch as u32,
        frames: chunk.frames as u32,
        out_frames: out_frames as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        time: time as u32,
        space: space as u32,
        first: chunk.first.into(),
        piece_columns: piece_columns as u32,
        piece_channels: piece_channels as u32,
        across: across as u32,
        deep: deep as u32,
        buffer_bytes: bytes(piece_columns) as u32,
    };
    let before = u64::from(time == Enlarge::Linear && !chunk.first);
    let frame = 2 * batch * height * width * channels;
    Ok(Plan {
        kernel: format!("upsample_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: frame * (chunk.frames + before + out_frames * factor * factor),
    })
}

/// `--shape T,H,W,C,LINEAR`: a whole video, 1 linear in space and time, 0 nearest in space.
pub const BENCH: Bench = Bench {
    kernel: "upsample",
    shape: "T,H,W,C,LINEAR",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let [t, h, w, c, linear] = [shape[0], shape[1], shape[2], shape[3], shape[4]];
        let (time, space) = match linear {
            0 => (Enlarge::Kept, Enlarge::Nearest),
            _ => (Enlarge::Linear, Enlarge::Linear),
        };
        let chunk = Chunk {
            frames: t,
            first: true,
            last: true,
        };
        let plan = plan(1, chunk, [h, w, c], time, space, dtype, chip)?;
        let frame = 2 * h * w * c;
        let [x, out] = [t * frame, 4 * chunk.out_frames(time) * frame].map(Operand::Absent);
        Ok((plan, vec![x, Operand::Null, out]))
    },
};
