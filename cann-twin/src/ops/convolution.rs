//! Convolution of 1 to 3 dimensions: columns of the input's windows times the weight, in parts that fit a cache.
//!
//! aclnn brings the operands into a format of the cube units; those passes are part of the operator. It converts the
//! bias to the type that the cube's operator takes: f16 beside f16, but f32 beside bf16 and in the kernel for points.

use super::elementwise::round_between;
use super::matmul::cube_math;
use super::product::{Matrix, multiply, to_hf32};
use super::{CUBE_WORKSPACE, Plan, phase_2};
use crate::array::View;
use crate::nnop::{Checked, Tensor, ints, optional_tensor, prepare, tensor};
use crate::rules::{self, FLOATS, describe};
use cann_sys::*;
use rayon::prelude::*;
use std::ops::Range;

phase_2!(aclnnConvolution);

/// Elements of the columns that a thread makes at a time.
const COLUMNS: usize = 256 * 1024;

/// What a dimension may be: of any tensor, and of kernel, stride, padding and dilation along height and width.
const MAX_DIM: usize = 1_000_000;
const MAX_KERNEL: usize = 511;
const MAX_STRIDE: i64 = 63;
const MAX_PADDING: i64 = 255;
const MAX_DILATION: i64 = 255;

/// The kernel for points takes fewer of them.
const MAX_POINTS: usize = 65_535;

/// Cross-correlation of `[N, C, (D, (H,)) W]` with `[C', C / groups, ..]`, padded with as many zeros on both sides.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnConvolutionGetWorkspaceSize(
    input: *const aclTensor,
    weight: *const aclTensor,
    bias: *const aclTensor,
    stride: *const aclIntArray,
    padding: *const aclIntArray,
    dilation: *const aclIntArray,
    transposed: bool,
    output_padding: *const aclIntArray,
    groups: i64,
    output: *mut aclTensor,
    cube_math_type: i8,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnConvolution", workspace_size, executor, || {
        let (x, weight) = (tensor("input", input)?, tensor("weight", weight)?);
        let bias = optional_tensor("bias", bias)?;
        let stride = ints("stride", stride)?;
        let padding = ints("padding", padding)?;
        let dilation = ints("dilation", dilation)?;
        let out = tensor("output", output)?;
        rules::require(!transposed, || {
            "transposed is true, must be false in the twin".to_owned()
        })?;
        if !output_padding.is_null() {
            ints("outputPadding", output_padding)?;
        }
        cube_math(cube_math_type)?;
        operands(&x, &weight, bias.as_ref(), &out)?;
        let shape = Shape::new(&x, &weight, &stride, &padding, &dilation, groups)?;
        if let Some(bias) = &bias {
            rules::operand("bias", bias, FLOATS)?;
            rules::shape("bias", bias, &[shape.out_channels])?;
        }
        let mut expected = vec![x.shape[0], shape.out_channels];
        expected.extend(&shape.out[5 - x.shape.len()..]);
        rules::shape("output", &out, &expected)?;

        let mut plan = Plan::default();
        plan.read_contiguous(&x);
        plan.read_contiguous(&weight);
        let bias_type = match x.dtype {
            ACL_FLOAT16 if !shape.is_of_points(x.shape.len()) => ACL_FLOAT16,
            _ => ACL_FLOAT,
        };
        if let Some(bias) = &bias {
            plan.read_contiguous(bias);
            plan.cast(&bias.shape, bias.dtype, bias_type);
        }
        plan.write(&out);
        let hf32 = cube_math_type == 1 && x.dtype == ACL_FLOAT;
        Ok(plan.task(CUBE_WORKSPACE, move |access| {
            let mut weight = View::of(&weight, access).to_f32();
            let mut bias = bias.as_ref().map_or_else(
                || vec![0.0; shape.out_channels],
                |b| View::of(b, access).to_f32(),
            );
            round_between(bias_type, ACL_FLOAT, &mut bias);
            if hf32 {
                weight.iter_mut().for_each(|v| *v = to_hf32(*v));
            }
            let (x, out) = (View::of(&x, access), View::of(&out, access));
            for n in 0..out.shape()[0] {
                let mut padded = shape.padded(&x.at(n));
                if hf32 {
                    padded.iter_mut().for_each(|v| *v = to_hf32(*v));
                }
                shape.convolve(&padded, &weight, &bias, &out.at(n));
            }
        }))
    })
}

fn operands(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, out: &Tensor) -> Checked<()> {
    rules::operand("input", x, FLOATS)?;
    rules::rank("input", x, 3..=5)?;
    let format = match x.shape.len() {
        3 => ACL_FORMAT_NCL,
        4 => ACL_FORMAT_NCHW,
        _ => ACL_FORMAT_NCDHW,
    };
    rules::format("input", x, &[format])?;
    for (what, t) in [("weight", weight), ("output", out)] {
        rules::operand(what, t, FLOATS)?;
        rules::same_type(what, t, "input", x)?;
        rules::rank(what, t, x.shape.len()..=x.shape.len())?;
        rules::format(what, t, &[format])?;
    }
    if let Some(bias) = bias {
        let plain = [
            ACL_FORMAT_ND,
            ACL_FORMAT_NCL,
            ACL_FORMAT_NCHW,
            ACL_FORMAT_NCDHW,
        ];
        rules::format("bias", bias, &plain)?;
    }
    for (what, t) in [("input", x), ("weight", weight)] {
        let fits = t.shape.iter().all(|n| (1..=MAX_DIM).contains(n));
        rules::require(fits, || {
            format!(
                "{what} is {}, must have axes from 1 to {MAX_DIM}",
                describe(t)
            )
        })?;
    }
    Ok(())
}

/// Sizes of one convolution, of three dimensions; missing ones are of length 1.
struct Shape {
    channels: usize,
    out_channels: usize,
    groups: usize,
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
    out: [usize; 3],
}

impl Shape {
    fn new(
        x: &Tensor,
        weight: &Tensor,
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        groups: i64,
    ) -> Checked<Self> {
        let dims = x.shape.len() - 2;
        // Depth has no limits of its own, and in one or two dimensions none but padding has.
        let bounds = [
            ("stride", stride, 1, MAX_STRIDE),
            ("padding", padding, 0, MAX_PADDING),
            ("dilation", dilation, 1, MAX_DILATION),
        ];
        for (what, given, low, high) in bounds {
            let depth = MAX_DIM as i64;
            let fits = given.len() == dims
                && given.iter().enumerate().all(|(i, v)| {
                    (low..=if dims == 3 && i == 0 { depth } else { high }).contains(v)
                });
            rules::require(fits, || {
                format!(
                    "{what} is {given:?}, must be {dims} numbers from {low} to {high}, or to {depth} for depth"
                )
            })?;
        }
        let three = |given: &[i64], missing: usize| {
            let mut all = [missing; 3];
            for (to, v) in all[3 - dims..].iter_mut().zip(given) {
                *to = *v as usize;
            }
            all
        };
        let lengths = |t: &Tensor| {
            let mut all = [1; 3];
            all[3 - dims..].copy_from_slice(&t.shape[2..]);
            all
        };
        let (input, kernel) = (lengths(x), lengths(weight));
        let largest = kernel[1].max(kernel[2]);
        rules::require(largest <= MAX_KERNEL, || {
            format!(
                "weight is {}, must be up to {MAX_KERNEL} high and wide",
                describe(weight)
            )
        })?;
        let (channels, out_channels) = (x.shape[1], weight.shape[0]);
        let fits = (1..=65535).contains(&groups)
            && weight.shape[1] * groups as usize == channels
            && out_channels.is_multiple_of(groups as usize);
        rules::require(fits, || {
            format!(
                "groups is {groups}, must be from 1 to 65535, divide the {out_channels} output channels and be input channels by weight's: input {}, weight {}",
                describe(x),
                describe(weight)
            )
        })?;
        let (stride, padding, dilation) = (three(stride, 1), three(padding, 0), three(dilation, 1));
        let mut out = [0; 3];
        for i in 0..3 {
            let window = dilation[i] * (kernel[i] - 1) + 1;
            let Some(room) = (input[i] + 2 * padding[i]).checked_sub(window) else {
                return rules::refuse(format!(
                    "weight is {}, must with its dilation fit into the padded input, {}",
                    describe(weight),
                    describe(x)
                ));
            };
            out[i] = room / stride[i] + 1;
        }
        Ok(Self {
            channels,
            out_channels,
            groups: groups as usize,
            input,
            kernel,
            stride,
            padding,
            dilation,
            out,
        })
    }

    /// Whether CANN takes its kernel for convolutions of single points, which is for three dimensions.
    fn is_of_points(&self, rank: usize) -> bool {
        rank == 5
            && [self.kernel, self.stride, self.dilation] == [[1; 3]; 3]
            && self.padding == [0; 3]
            && self.groups == 1
            && self.input.iter().product::<usize>() < MAX_POINTS
    }

    fn padded_size(&self) -> [usize; 3] {
        std::array::from_fn(|i| self.input[i] + 2 * self.padding[i])
    }

    /// One sample with its padding, `[C, D, H, W]`.
    fn padded(&self, x: &View) -> Vec<f32> {
        if self.padding == [0; 3] {
            return x.to_f32();
        }
        let [_, height, width] = self.padded_size();
        let volume: usize = self.padded_size().iter().product();
        let mut all = vec![0.0; self.channels * volume];
        all.par_chunks_mut(volume)
            .enumerate()
            .for_each(|(c, volume)| {
                for d in 0..self.input[0] {
                    for h in 0..self.input[1] {
                        let row = ((d + self.padding[0]) * height + h + self.padding[1]) * width
                            + self.padding[2];
                        let from = ((c * self.input[0] + d) * self.input[1] + h) * self.input[2];
                        x.load(from, &mut volume[row..row + self.input[2]]);
                    }
                }
            });
        all
    }

    fn convolve(&self, x: &[f32], weight: &[f32], bias: &[f32], out: &View) {
        let positions: usize = self.out.iter().product();
        let (group_in, group_out) = (self.channels / self.groups, self.out_channels / self.groups);
        let volume: usize = self.padded_size().iter().product();
        let depth = group_in * self.kernel.iter().product::<usize>();
        let pointwise = self.kernel == [1; 3] && self.stride == [1; 3];
        let block = (COLUMNS / depth).clamp(128, 2048).min(positions);
        let blocks = positions.div_ceil(block);
        let one = |i: usize, threads: bool| {
            let (group, first) = (i / blocks, i % blocks * block);
            let range = first..positions.min(first + block);
            let x = &x[group * group_in * volume..][..group_in * volume];
            let weight = &weight[group * group_out * depth..][..group_out * depth];
            let mut columns = vec![];
            let windows = if pointwise {
                Matrix::of(&x[first..], volume)
            } else {
                columns.resize(depth * range.len(), 0.0);
                self.columns(x, range.clone(), &mut columns);
                Matrix::of(&columns, range.len())
            };
            let mut result = vec![0.0; group_out * range.len()];
            // SAFETY: `weight` is `group_out` rows of `depth`. The windows are `depth` rows: of `range`, made above, or,
            // without padding and stride, of the input's channels, each `volume` long and `range` inside it.
            unsafe {
                multiply(
                    [group_out, depth, range.len()],
                    Matrix::of(weight, depth),
                    windows,
                    result.as_mut_ptr(),
                    range.len() as isize,
                    threads,
                );
            }
            for (c, values) in result.chunks_exact_mut(range.len()).enumerate() {
                let channel = group * group_out + c;
                values.iter_mut().for_each(|v| *v += bias[channel]);
                out.store(channel * positions + first, values);
            }
        };
        let tasks = self.groups * blocks;
        if tasks < rayon::current_num_threads() {
            (0..tasks).for_each(|i| one(i, true));
        } else {
            (0..tasks).into_par_iter().for_each(|i| one(i, false));
        }
    }

    /// For the output positions of `range`, the window of each as a column: one row per weight.
    fn columns(&self, x: &[f32], range: Range<usize>, into: &mut [f32]) {
        let [_, height, width] = self.padded_size();
        let volume: usize = self.padded_size().iter().product();
        let [_, out_height, out_width] = self.out;
        let taps: usize = self.kernel.iter().product();
        for (row, into) in into.chunks_exact_mut(range.len()).enumerate() {
            let (channel, tap) = (row / taps, row % taps);
            let [_, kernel_height, kernel_width] = self.kernel;
            let at = [
                tap / kernel_width / kernel_height * self.dilation[0],
                tap / kernel_width % kernel_height * self.dilation[1],
                tap % kernel_width * self.dilation[2],
            ];
            let mut position = range.start;
            while position < range.end {
                let [d, h, w] = [
                    position / out_width / out_height,
                    position / out_width % out_height,
                    position % out_width,
                ];
                let n = (out_width - w).min(range.end - position);
                let line = channel * volume
                    + ((d * self.stride[0] + at[0]) * height + h * self.stride[1] + at[1]) * width;
                let from = line + w * self.stride[2] + at[2];
                let into = &mut into[position - range.start..][..n];
                if self.stride[2] == 1 {
                    into.copy_from_slice(&x[from..from + n]);
                } else {
                    let from = x[from..].iter().step_by(self.stride[2]);
                    into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
                position += n;
            }
        }
    }
}
