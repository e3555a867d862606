//! Haar wavelets of video, forward and inverse, channels last: `vae/haar`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector;

/// The tiling (`ascendit-kernels/src/haar.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `haar` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct HaarTiling {
        /// Batches.
        batch: u32,
        /// Frames of coefficients.
        frames: u32,
        /// Rows of coefficients.
        height: u32,
        /// Columns of coefficients.
        width: u32,
        /// Channels of a pixel.
        channels: u32,
        /// Coefficients of a block: 8 or 4.
        coefficients: u32,
        /// Whether coefficients become pixels.
        inverse: u32,
        /// Whether the video begins here.
        first: u32,
        /// Whether the first bit of a coefficient's number stands for rows.
        swapped: u32,
        /// Rows of a tile.
        lines: u32,
        /// Columns of a tile.
        columns: u32,
        /// Tiles of a row.
        across: u32,
        /// Tiles of a column.
        down: u32,
        /// Pixels that make whole blocks of 16 values.
        together: u32,
        /// Of the unified buffer.
        buffer_bytes: u32,
        /// Factor of the sums.
        scale: f32,
    }
}

pub use ffi::HaarTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for HaarTiling {}

/// Which blocks are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// 2 × 2 × 2 pixels. `first`: the video begins here, so that its first frame counts twice forward, and what would come before it
    /// is left out by the inverse.
    Video {
        /// Whether the video begins here.
        first: bool,
    },
    /// 2 × 2 pixels of each frame. `swapped`: coefficient 1 is the difference of rows and 2 that of columns, as in WF-VAE.
    Frames {
        /// Whether rows come first.
        swapped: bool,
    },
}

/// A transform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Haar {
    /// Batches.
    pub batch: u64,
    /// Of the coefficients: frames, rows and columns.
    pub size: [u64; 3],
    /// Channels of a pixel.
    pub channels: u64,
    /// Which blocks.
    pub blocks: Blocks,
    /// Whether coefficients become pixels.
    pub inverse: bool,
    /// Factor of the sums.
    pub scale: f32,
}

impl Haar {
    /// Frames of pixels.
    pub fn pixel_frames(&self) -> u64 {
        match self.blocks {
            Blocks::Video { first } => 2 * self.size[0] - u64::from(first),
            Blocks::Frames { .. } => self.size[0],
        }
    }

    fn coefficients(&self) -> u64 {
        match self.blocks {
            Blocks::Video { .. } => 8,
            Blocks::Frames { .. } => 4,
        }
    }
}

/// Plans a launch; arguments `x, out`.
///
/// # Errors
/// If an axis has no entries or is too long, or a tile of the channels does not fit the unified buffer.
pub fn plan(haar: &Haar, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    let Haar {
        batch,
        size: [frames, height, width],
        channels,
        ..
    } = *haar;
    let sizes = [
        ("B", batch),
        ("T", frames),
        ("H", height),
        ("W", width),
        ("C", channels),
    ];
    vector::check(&sizes, dtype)?;
    for (name, size) in sizes {
        vector::narrow(name, 2 * size)?;
    }
    let coefficients = haar.coefficients();
    let together = [1, 2, 4, 8]
        .into_iter()
        .find(|n| n * channels % 8 == 0)
        .unwrap_or(8);
    let values = coefficients * channels;
    // `in_`, `made_`, `f_` and `g_` of `haar.h`.
    let bytes = |pixels: u64| {
        let room = (pixels * channels + 64).next_multiple_of(128);
        4 * vector::part(2 * pixels * values) + 2 * vector::part(4 * coefficients * room)
    };
    // Transposition takes 16 blocks at a time, and repeats up to 255 times.
    let step = 16 * together;
    let fits = |steps: &u64| bytes(steps * step) <= vector::UNIFIED_BUFFER.into();
    let Some(most) = (1..=255).rev().find(fits).map(|steps| steps * step) else {
        return Err(format!(
            "a pixel has {channels} channels; a tile of {step} pixels does not fit the unified buffer"
        ));
    };
    let (lines, columns) = match most / width {
        0 => (1, width.div_ceil(width.div_ceil(most))),
        // Several rows only if each begins at a multiple of 32 bytes.
        lines if 2 * width * channels % 16 == 0 => (lines.min(height), width),
        _ => (1, width),
    };
    let pixels = (lines * columns).next_multiple_of(step);
    let (down, across) = (height.div_ceil(lines), width.div_ceil(columns));
    let (first, swapped) = match haar.blocks {
        Blocks::Video { first } => (first, false),
        Blocks::Frames { swapped } => (false, swapped),
    };
    let blocks = vector::blocks(chip, batch * frames * down * across);
    let tiling = HaarTiling {
        batch: batch as u32,
        frames: frames as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        coefficients: coefficients as u32,
        inverse: haar.inverse.into(),
        first: first.into(),
        swapped: swapped.into(),
        lines: lines as u32,
        columns: columns as u32,
        across: across as u32,
        down: down as u32,
        together: together as u32,
        buffer_bytes: bytes(pixels) as u32,
        scale: haar.scale,
    };
    let frame = height * width * channels;
    Ok(Plan {
        kernel: format!("haar_{dtype}"),
        blocks,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 0,
        bytes: 2 * batch * frame * (frames * coefficients + 4 * haar.pixel_frames()),
    })
}

/// `--shape T,H,W,C,INVERSE`: blocks of 2 × 2 × 2 of a whole video, sizes of the coefficients.
pub const BENCH: Bench = Bench {
    kernel: "haar",
    shape: "T,H,W,C,INVERSE",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let haar = Haar {
            batch: 1,
            size: [shape[0], shape[1], shape[2]],
            channels: shape[3],
            blocks: Blocks::Video { first: true },
            inverse: shape[4] != 0,
            scale: 0.3536,
        };
        let plan = plan(&haar, dtype, chip)?;
        let frame = 2 * shape[1] * shape[2] * shape[3];
        let [coefficients, pixels] =
            [8 * shape[0] * frame, 4 * haar.pixel_frames() * frame].map(Operand::Absent);
        let operands = if haar.inverse {
            [coefficients, pixels]
        } else {
            [pixels, coefficients]
        };
        Ok((plan, operands.to_vec()))
    },
};
