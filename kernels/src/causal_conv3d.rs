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
const L0_HALF: u64 = 16 * 1024;
/// Output pixels of a task.
const MOST_PIXELS: u64 = 512;

/// A choice of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiles {
    rows: u64,
    columns: u64,
    depth: u64,
    step: u64,
    image_bytes: u64,
    weight_bytes: u64,
}

/// Input of so many output rows or columns.
fn reach(outputs: u64, stride: u64, kernel: u64) -> u64 {
    (outputs - 1) * stride + kernel
}

impl Tiles {
    /// These tiles, if their buffers fit; `n`: output channels of a task.
    fn fit(shape: &Shape, n: u64, [rows, columns]: [u64; 2], depth: u64) -> Option<Self> {
        let [_, kh, kw] = shape.kernel;
        let pixels = (rows * columns).next_multiple_of(16);
        let area = reach(rows, shape.stride[1], kh).min(shape.size[1])
            * reach(columns, shape.stride[2], kw).min(shape.size[2]);
        let residual = u64::from(shape.residual);
        let image_bytes = (2 * area * depth).max(2 * pixels * n * residual);
        let weight_bytes = (2 * kh * kw * depth * n).max(2 * n * n * residual);
        let bias_bytes = 4 * shape.out_channels.next_multiple_of(16);
        // A copy of an image has at most 16384 pixels.
        let fits = pixels <= MOST_PIXELS
            && 4 * pixels * n <= L0C
            && area <= 16384
            && 2 * (image_bytes + weight_bytes) + bias_bytes <= L1;
        let most = L0_HALF / pixels.max(n) / 16 * 16;
        let k = kh * kw * depth;
        fits.then(|| Self {
            rows,
            columns,
            depth,
            step: k.div_ceil(k.div_ceil(most)).next_multiple_of(16),
            image_bytes,
            weight_bytes,
        })
    }

    /// Cycles of a task of `rows` x `columns` pixels by the slowest of its units. The figures are those of the twin's timing
    /// model.
    fn task_cycles(&self, shape: &Shape, n: u64, [rows, columns]: [u64; 2]) -> f64 {
        if rows * columns == 0 {
            return 0.0;
        }
        let [kt, kh, kw] = shape.kernel;
        let padded = shape.channels.next_multiple_of(16);
        let m = (rows * columns).next_multiple_of(16);
        let residual = n * u64::from(shape.residual);
        let k = kt * kh * kw * padded + residual;
        let steps = |depth: u64| (kh * kw * depth).div_ceil(self.step);
        let (whole, part) = (padded / self.depth, padded % self.depth);
        let steps = kt * (whole * steps(self.depth) + steps(part)) + residual.div_ceil(self.step);
        let chunks = kt * padded.div_ceil(self.depth);
        let cube = (m * n * k) as f64 / 4096.0 + (10 * steps) as f64;
        let mte1 = (m * k) as f64 / 128.0 + (n * k) as f64 / 64.0 + (58 * steps) as f64;
        let width = reach(columns, shape.stride[2], kw);
        let height = reach(rows, shape.stride[1], kh);
        let copies = if columns == shape.out_size()[2] {
            1
        } else {
            height
        };
        let image = 25.0 * copies as f64 + 1.5 * (width * height) as f64;
        let bytes = 2 * kt * width * height * padded + 2 * n * k;
        let mte2 = chunks as f64 * (image + 25.0) + bytes as f64 / 110.0;
        cube.max(mte1).max(mte2) + 300.0
    }

    /// Output pixels' tiles of a frame.
    fn of_frame(&self, shape: &Shape) -> u64 {
        let [_, height, width] = shape.out_size();
        height.div_ceil(self.rows) * width.div_ceil(self.columns)
    }

    /// Tasks in all.
    fn tasks(&self, shape: &Shape, n: u64) -> u64 {
        shape.batch * shape.out_size()[0] * self.of_frame(shape) * shape.out_channels.div_ceil(n)
    }

    /// Cycles of all tasks, spread over `cores`.
    fn cycles(&self, shape: &Shape, n: u64, cores: u64) -> f64 {
        let [_, height, width] = shape.out_size();
        let (down, below) = (height / self.rows, height % self.rows);
        let (across, beside) = (width / self.columns, width % self.columns);
        let one = |rows, columns| self.task_cycles(shape, n, [rows, columns]);
        let frame = (down * across) as f64 * one(self.rows, self.columns)
            + down as f64 * one(self.rows, beside)
            + across as f64 * one(below, self.columns)
            + one(below, beside);
        // A core has whole tasks.
        frame / self.of_frame(shape) as f64 * self.tasks(shape, n).div_ceil(cores) as f64
    }

    /// Those that take least time.
    fn best(shape: &Shape, n: u64, cores: u64) -> Option<Self> {
        let [_, height, width] = shape.out_size();
        let padded = shape.channels.next_multiple_of(16);
        let even = |chunks| padded.div_ceil(chunks).next_multiple_of(16);
        let mut depths: Vec<_> = (1..=padded / 16).map(even).collect();
        depths.dedup();
        let mut best: Option<(f64, Self)> = None;
        for columns in (1..=width.div_ceil(16)).map(|i| (16 * i).min(width)) {
            for rows in 1..=height.min(MOST_PIXELS / columns) {
                for &depth in &depths {
                    let Some(tiles) = Self::fit(shape, n, [rows, columns], depth) else {
                        continue;
                    };
                    let cycles = tiles.cycles(shape, n, cores);
                    if best.is_none_or(|(least, _)| cycles < least) {
                        best = Some((cycles, tiles));
                    }
                }
            }
        }
        best.map(|(_, tiles)| tiles)
    }
}

/// Plans a launch; arguments `x, cache or null, weight (see [`pack`]), bias (see [`pack_bias`]) or null, residual or null, out`.
///
/// # Errors
/// If an axis has no entries or is beyond what the kernel takes.
pub fn plan(shape: &Shape, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    shape.check()?;
    let n = Shape::tile_channels(shape.out_channels);
    let tiles =
        Tiles::best(shape, n, chip.cube_cores.into()).ok_or("no tile fits the cube's memories")?;
    let (out, tasks) = (shape.out_size(), tiles.tasks(shape, n));
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
        tile_pixels: small((tiles.rows * tiles.columns).next_multiple_of(16))?,
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
