//! Causal convolution over `[B, T, H, W, C]`: `vae/causal_conv3d`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};

/// The tiling (`ascendit-kernels/src/causal_conv3d.rs.h`).
#[cxx::bridge]
mod ffi {
    /// How `causal_conv3d` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct CausalConv3dTiling {
        /// Frames of `x`.
        frames: u32,
        /// Of `x`, in pixels.
        height: u32,
        /// Of `x`, in pixels.
        width: u32,
        /// Of `x`.
        channels: u32,
        /// Frames of the output.
        out_frames: u32,
        /// Of the output, in pixels.
        out_height: u32,
        /// Of the output, in pixels.
        out_width: u32,
        /// Of the output.
        out_channels: u32,
        /// Extent of the kernel in time.
        kernel_frames: u32,
        /// Extent of the kernel down.
        kernel_rows: u32,
        /// Extent of the kernel across.
        kernel_columns: u32,
        /// Step in time.
        stride_frames: u32,
        /// Step down.
        stride_rows: u32,
        /// Step across.
        stride_columns: u32,
        /// Rows of zeros above.
        top: u32,
        /// Columns of zeros to the left.
        left: u32,
        /// Output rows of a task.
        tile_rows: u32,
        /// Output columns of a task.
        tile_columns: u32,
        /// Pixels of a task, in 16s.
        tile_pixels: u32,
        /// Output channels of a task.
        tile_channels: u32,
        /// Input channels of a chunk.
        tile_depth: u32,
        /// Of K that is in L0 at a time.
        step: u32,
        /// Of L1 for a chunk of the image.
        image_bytes: u32,
        /// Of L1 for a chunk of the weights.
        weight_bytes: u32,
        /// Tasks in all.
        tasks: u32,
        /// Whether the unit flag orders the cube and the fixpipe.
        unit: u32,
    }
}

pub use ffi::CausalConv3dTiling;

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for CausalConv3dTiling {}

/// A convolution. Axes are in the order `T, H, W`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Batches.
    pub batch: u64,
    /// Extent of `x`.
    pub size: [u64; 3],
    /// Channels of `x`.
    pub channels: u64,
    /// Channels of the output.
    pub out_channels: u64,
    /// Extent of the kernel.
    pub kernel: [u64; 3],
    /// Step.
    pub stride: [u64; 3],
    /// Zeros before and behind in `H, W`.
    pub padding: [(u64, u64); 2],
    /// Whether something of the output's shape is added to it.
    pub residual: bool,
}

impl Shape {
    /// Extent of the output. In time, `KT - 1` frames are in front of `x`.
    pub fn out_size(&self) -> [u64; 3] {
        let [kernel, stride] = [self.kernel, self.stride];
        let padded = [
            self.size[0] + kernel[0] - 1,
            self.size[1] + self.padding[0].0 + self.padding[0].1,
            self.size[2] + self.padding[1].0 + self.padding[1].1,
        ];
        std::array::from_fn(|i| (padded[i] - kernel[i]) / stride[i] + 1)
    }

    fn check(&self) -> Result<(), String> {
        let [t, h, w] = self.size;
        let sizes = [self.batch, t, h, w, self.channels, self.out_channels];
        if sizes.contains(&0) || self.kernel.contains(&0) {
            return Err("an axis has no entries".into());
        }
        if sizes.iter().any(|&size| size >= 1 << 20)
            || self.channels > 4096
            || self.out_channels > 4096
        {
            return Err(
                "an axis has more than 2^20 entries, or there are more than 4096 channels".into(),
            );
        }
        if self.kernel.iter().any(|&kernel| kernel > 16) {
            return Err("the kernel is larger than 16 along an axis".into());
        }
        if self.stride.iter().any(|&stride| stride == 0 || stride > 63) {
            return Err("a stride is not in 1..63".into());
        }
        for ((padding, kernel), size) in self
            .padding
            .iter()
            .zip(&self.kernel[1..])
            .zip(&self.size[1..])
        {
            if padding.0 >= *kernel || padding.1 >= *kernel {
                return Err("padding is as wide as the kernel".into());
            }
            if size + padding.0 + padding.1 < *kernel {
                return Err("the kernel is larger than the image with its padding".into());
            }
        }
        Ok(())
    }

    /// Output channels of a task: at most 128, even shares, in 16s. Weights are packed for it, so it depends on nothing else.
    fn tile_channels(out_channels: u64) -> u64 {
        let tiles = out_channels.div_ceil(128);
        out_channels.div_ceil(tiles).next_multiple_of(16)
    }
}

const L1: u64 = 512 * 1024 - 256;
const L0C: u64 = 128 * 1024;
/// Half of L0A or L0B, in 16-bit elements.
const L0: u64 = 16 * 1024;

/// A choice of tiles and what it costs.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    rows: u64,
    columns: u64,
    pixels: u64,
    depth: u64,
    step: u64,
    image_bytes: u64,
    weight_bytes: u64,
    cycles: f64,
}

/// Input of so many output rows or columns.
fn reach(outputs: u64, stride: u64, kernel: u64) -> u64 {
    (outputs - 1) * stride + kernel
}

/// Cycles of a whole task by the slowest of its units; the figures are those of the twin's timing model.
fn task_cycles(shape: &Shape, [rows, columns]: [u64; 2], n: u64, depth: u64, step: u64) -> f64 {
    let [kt, kh, kw] = shape.kernel;
    let padded = shape.channels.next_multiple_of(16);
    let m = (rows * columns).next_multiple_of(16);
    let residual = if shape.residual { n } else { 0 };
    let k = padded * kt * kh * kw + residual;
    let steps = (k.div_ceil(step) + kt * padded.div_ceil(depth)) as f64;
    let cube = (m * n * k) as f64 / 4096.0 + 10.0 * steps;
    let mte1 = (m * k) as f64 / 128.0 + (n * k) as f64 / 64.0 + 58.0 * steps;
    let (inner, outer) = (
        reach(columns, shape.stride[2], kw),
        reach(rows, shape.stride[1], kh),
    );
    let chunks = (kt * padded.div_ceil(depth)) as f64;
    let bursts = if columns == shape.out_size()[2] {
        1.0
    } else {
        outer as f64
    };
    let image = chunks * (25.0 * bursts + 1.5 * (inner * outer) as f64)
        + (inner * outer * padded * kt) as f64 / 55.0;
    let mte2 = image + 25.0 * chunks + (n * k) as f64 / 55.0;
    cube.max(mte1).max(mte2) + 300.0
}

/// The tiles that take least time by [`task_cycles`], spread over `cores`.
fn tiles(shape: &Shape, n: u64, cores: u64) -> Option<Tiles> {
    let [_, kh, kw] = shape.kernel;
    let [frames, height, width] = shape.out_size();
    let padded = shape.channels.next_multiple_of(16);
    let most = (L0C / 4 / n).min(512);
    let channel_tiles = shape.out_channels.div_ceil(n);
    let mut best: Option<Tiles> = None;
    let widths = (1..=width.div_ceil(16)).map(|i| (i * 16).min(width));
    for columns in widths {
        for rows in 1..=height.min(most / columns.max(1)) {
            let pixels = (rows * columns).next_multiple_of(16);
            if pixels > most {
                continue;
            }
            let area = reach(rows, shape.stride[1], kh).min(shape.size[1])
                * reach(columns, shape.stride[2], kw).min(shape.size[2]);
            let residual = if shape.residual {
                (pixels * n * 2, n * n * 2)
            } else {
                (0, 0)
            };
            let bytes = |depth: u64| {
                let image = (area * depth * 2).max(residual.0);
                let weight = (kh * kw * depth * n * 2).max(residual.1);
                (image, weight)
            };
            let bias = shape.out_channels.next_multiple_of(16) * 4;
            let fits = |depth: u64| {
                let (image, weight) = bytes(depth);
                2 * (image + weight) + bias <= L1
            };
            // Rows of Nd2Nz are of 16384 pixels at most, and its columns of fractals as far apart.
            let Some(depth) = (1..=padded / 16)
                .rev()
                .map(|i| i * 16)
                .find(|&depth| fits(depth) && area <= 16384)
            else {
                continue;
            };
            let depth = padded.div_ceil(padded.div_ceil(depth)).next_multiple_of(16);
            let k = kh * kw * depth;
            let step = (L0 / pixels.max(n)) / 16 * 16;
            let step = k.div_ceil(k.div_ceil(step)).next_multiple_of(16);
            let tasks = frames
                * shape.batch
                * channel_tiles
                * height.div_ceil(rows)
                * width.div_ceil(columns);
            let (whole, part) = (
                (height / rows, width / columns),
                (height % rows, width % columns),
            );
            let one = |rows, columns| {
                if rows * columns == 0 {
                    0.0
                } else {
                    task_cycles(shape, [rows, columns], n, depth, step)
                }
            };
            let frame = (whole.0 * whole.1) as f64 * one(rows, columns)
                + whole.0 as f64 * one(rows, part.1)
                + whole.1 as f64 * one(part.0, columns)
                + one(part.0, part.1);
            let all = frame * (frames * shape.batch * channel_tiles) as f64;
            // The slowest core has whole tasks.
            let uneven = tasks.div_ceil(cores) as f64 * cores as f64 / tasks as f64;
            let cycles = all / cores as f64 * uneven;
            if best.is_none_or(|best| cycles < best.cycles) {
                let (image_bytes, weight_bytes) = bytes(depth);
                best = Some(Tiles {
                    rows,
                    columns,
                    pixels,
                    depth,
                    step,
                    image_bytes: image_bytes.next_multiple_of(32),
                    weight_bytes,
                    cycles,
                });
            }
        }
    }
    best
}

/// Plans a launch; arguments `x, cache or null, weight (see [`pack`]), bias (see [`pack_bias`]) or null, residual or null, out`.
///
/// # Errors
/// If an axis has no entries or is beyond what the kernel takes.
pub fn plan(shape: &Shape, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    shape.check()?;
    let n = Shape::tile_channels(shape.out_channels);
    let tiles =
        tiles(shape, n, chip.cube_cores.into()).ok_or("no tile fits the cube's memories")?;
    let out = shape.out_size();
    let tasks = shape.batch
        * out[0]
        * out[1].div_ceil(tiles.rows)
        * out[2].div_ceil(tiles.columns)
        * shape.out_channels.div_ceil(n);
    let small =
        |value: u64| u32::try_from(value).map_err(|_| "there are too many tasks".to_owned());
    let tiling = CausalConv3dTiling {
        frames: small(shape.size[0])?,
        height: small(shape.size[1])?,
        width: small(shape.size[2])?,
        channels: small(shape.channels)?,
        out_frames: small(out[0])?,
        out_height: small(out[1])?,
        out_width: small(out[2])?,
        out_channels: small(shape.out_channels)?,
        kernel_frames: small(shape.kernel[0])?,
        kernel_rows: small(shape.kernel[1])?,
        kernel_columns: small(shape.kernel[2])?,
        stride_frames: small(shape.stride[0])?,
        stride_rows: small(shape.stride[1])?,
        stride_columns: small(shape.stride[2])?,
        top: small(shape.padding[0].0)?,
        left: small(shape.padding[1].0)?,
        tile_rows: small(tiles.rows)?,
        tile_columns: small(tiles.columns)?,
        tile_pixels: small(tiles.pixels)?,
        tile_channels: small(n)?,
        tile_depth: small(tiles.depth)?,
        step: small(tiles.step)?,
        image_bytes: small(tiles.image_bytes)?,
        weight_bytes: small(tiles.weight_bytes)?,
        tasks: small(tasks)?,
        unit: (tiles.columns == out[2] || out[2].is_multiple_of(16)).into(),
    };
    let taps: u64 = shape.kernel.iter().product();
    let pixels = shape.batch * out.iter().product::<u64>();
    let elements = shape.batch * shape.size.iter().product::<u64>() * shape.channels
        + taps * shape.channels * shape.out_channels
        + pixels * shape.out_channels * (1 + u64::from(shape.residual));
    Ok(Plan {
        kernel: format!("causal_conv3d_{dtype}"),
        blocks: small(tasks.min(chip.cube_cores.into()))?,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: 0,
        flops: 2 * pixels * taps * shape.channels * shape.out_channels,
        bytes: 2 * elements,
    })
}

/// Entries of packed weights.
fn packed_len([o, i, kt, kh, kw]: [u64; 5]) -> (u64, u64, u64) {
    let n = Shape::tile_channels(o);
    let last = o.next_multiple_of(16) - (o.div_ceil(n) - 1) * n;
    let weights = kt * kh * kw * i.next_multiple_of(16) * o.next_multiple_of(16);
    (weights, n, last)
}

/// The order in which the kernel reads weights `[O, I, KT, KH, KW]`, whose entries are bits of `f16` or `bf16` (`one` has those of
/// 1). Once for a weight: it does not depend on the image.
///
/// # Panics
/// If `weight` has not as many entries as `shape` says.
pub fn pack(weight: &[u16], shape: [u64; 5], one: u16) -> Vec<u16> {
    assert_eq!(
        weight.len() as u64,
        shape.iter().product::<u64>(),
        "entries of a weight"
    );
    let (len, n, last) = packed_len(shape);
    let [o, i, kt, kh, kw] = shape.map(|axis| axis as usize);
    let (n, last) = (n as usize, last as usize);
    let units = n * n + if last == n { 0 } else { last * last };
    let mut packed = Vec::with_capacity(len as usize + units);
    for first in (0..o).step_by(n) {
        let columns = n.min(o.next_multiple_of(16) - first);
        for t in 0..kt {
            for c1 in (0..i).step_by(16) {
                for tap in 0..kh * kw {
                    // Rows of fractals of L0B: 16 of K by all columns, and in a fractal K runs first.
                    for out in first..first + columns {
                        packed.extend((c1..c1 + 16).map(|c| match out < o && c < i {
                            true => weight[((out * i + c) * kt + t) * kh * kw + tap],
                            false => 0,
                        }));
                    }
                }
            }
        }
    }
    for size in [Some(n), (last != n).then_some(last)].into_iter().flatten() {
        for k1 in (0..size).step_by(16) {
            for out in 0..size {
                packed.extend((k1..k1 + 16).map(|k| if k == out { one } else { 0 }));
            }
        }
    }
    packed
}

/// The bias as the kernel reads it: zeros behind it to a multiple of 16.
pub fn pack_bias(bias: &[f32]) -> Vec<f32> {
    let mut packed = bias.to_vec();
    packed.resize(bias.len().next_multiple_of(16), 0.0);
    packed
}

/// `--shape B,T,H,W,C,O,KT,K`: stride 1, padding that keeps the size, bias, no residual.
pub const BENCH: Bench = Bench {
    kernel: "causal_conv3d",
    shape: "B,T,H,W,C,O,KT,K",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let &[batch, t, h, w, channels, out_channels, kt, k] = shape else {
            return Err("the shape has 8 numbers".into());
        };
        let half = ((k.max(1) - 1) / 2, k / 2);
        let shape = Shape {
            batch,
            size: [t, h, w],
            channels,
            out_channels,
            kernel: [kt, k, k],
            stride: [1; 3],
            padding: [half; 2],
            residual: false,
        };
        let plan = plan(&shape, dtype, chip)?;
        let (len, n, last) = packed_len([out_channels, channels, kt, k, k]);
        let out = shape.out_size().iter().product::<u64>() * batch * out_channels;
        let operands = vec![
            Operand::Absent(2 * batch * t * h * w * channels),
            Operand::Null,
            Operand::Absent(2 * (len + n * n + last * last)),
            Operand::Absent(4 * out_channels.next_multiple_of(16)),
            Operand::Null,
            Operand::Absent(2 * out),
        ];
        Ok((plan, operands))
    },
};
