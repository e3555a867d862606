//! Upsampling of `[N, C, D, H, W]`. aclnn makes a strided input contiguous.

use super::{Plan, phase_2};
use crate::array::{View, in_rows};
use crate::nnop::{Checked, Task, Tensor, ints, prepare, tensor};
use crate::rules::{self, FLOATS, describe};
use cann_sys::*;

phase_2!(aclnnUpsampleNearest3d aclnnUpsampleTrilinear3d);

/// Each output takes the input at its place by scale, rounded down.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnUpsampleNearest3dGetWorkspaceSize(
    self_: *const aclTensor,
    output_size: *const aclIntArray,
    scales_d: f64,
    scales_h: f64,
    scales_w: f64,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnUpsampleNearest3d", workspace_size, executor, || {
        let t = tensor("self", self_)?;
        let size = ints("outputSize", output_size)?;
        let out = tensor("out", out)?;
        upsample(
            t,
            &size,
            [scales_d, scales_h, scales_w],
            out,
            |n, to, scale| {
                let step = step(n, to, scale);
                let at = |i: usize| ((i as f32 * step) as usize).min(n - 1);
                (0..to)
                    .map(|i| Source {
                        low: at(i),
                        high: at(i),
                        part: 0.0,
                    })
                    .collect()
            },
        )
    })
}

/// Linear interpolation along three axes, between centres of pixels, or with `alignCorners` between corners.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnUpsampleTrilinear3dGetWorkspaceSize(
    self_: *const aclTensor,
    output_size: *const aclIntArray,
    align_corners: bool,
    scales_d: f64,
    scales_h: f64,
    scales_w: f64,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnUpsampleTrilinear3d", workspace_size, executor, || {
        let t = tensor("self", self_)?;
        let size = ints("outputSize", output_size)?;
        let out = tensor("out", out)?;
        let scales = [scales_d, scales_h, scales_w];
        upsample(t, &size, scales, out, move |n, to, scale| {
            let place = |i: usize| match align_corners {
                true if to == 1 => 0.0,
                true => i as f32 * ((n - 1) as f32 / (to - 1) as f32),
                false => (step(n, to, scale) * (i as f32 + 0.5) - 0.5).max(0.0),
            };
            (0..to)
                .map(|i| {
                    let low = (place(i) as usize).min(n - 1);
                    Source {
                        low,
                        high: (low + 1).min(n - 1),
                        part: place(i) - low as f32,
                    }
                })
                .collect()
        })
    })
}

/// Where one output along an axis comes from: `low * (1 - part) + high * part`.
#[derive(Clone, Copy)]
struct Source {
    low: usize,
    high: usize,
    part: f32,
}

/// Input elements per output element.
fn step(n: usize, to: usize, scale: f64) -> f32 {
    if scale > 0.0 {
        (1.0 / scale) as f32
    } else {
        n as f32 / to as f32
    }
}

fn upsample(
    t: Tensor,
    size: &[i64],
    scales: [f64; 3],
    out: Tensor,
    sources: impl Fn(usize, usize, f64) -> Vec<Source>,
) -> Checked<Task> {
    for (what, t) in [("self", &t), ("out", &out)] {
        rules::operand(what, t, FLOATS)?;
        rules::rank(what, t, 5..=5)?;
        rules::format(what, t, &[ACL_FORMAT_NCDHW])?;
    }
    rules::same_type("out", &out, "self", &t)?;
    rules::require(t.shape.iter().all(|&n| n > 0), || {
        format!("self is {}, must not be empty", describe(&t))
    })?;
    let sizes: Vec<usize> = size
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| n as usize)
        .collect();
    rules::require(size.len() == 3 && sizes.len() == 3, || {
        format!("outputSize is {size:?}, must be 3 numbers greater than 0")
    })?;
    rules::require(scales.iter().all(|s| s.is_finite() && *s >= 0.0), || {
        format!("scales are {scales:?}, must be 0 or greater")
    })?;
    rules::shape(
        "out",
        &out,
        &[t.shape[0], t.shape[1], sizes[0], sizes[1], sizes[2]],
    )?;
    let [depths, heights, widths] = [0, 1, 2].map(|i| sources(t.shape[2 + i], sizes[i], scales[i]));
    let mut plan = Plan::default();
    plan.read_contiguous(&t);
    plan.write(&out);
    Ok(plan.task(0, move |access| {
        let (t, out) = (View::of(&t, access), View::of(&out, access));
        let [height, width] = [t.shape()[3], t.shape()[4]];
        let depth = t.shape()[2];
        let row = widths.len();
        in_rows(out.len() / row, row + 2 * width, |i, buffer| {
            let (result, lines) = buffer.split_at_mut(row);
            let (sum, line) = lines.split_at_mut(width);
            let h = heights[i % heights.len()];
            let d = depths[i / heights.len() % depths.len()];
            let channel = i / heights.len() / depths.len();
            let mut first = true;
            for (d_at, d_part) in [(d.low, 1.0 - d.part), (d.high, d.part)] {
                for (h_at, h_part) in [(h.low, 1.0 - h.part), (h.high, h.part)] {
                    let part = d_part * h_part;
                    if part == 0.0 {
                        continue;
                    }
                    t.load(((channel * depth + d_at) * height + h_at) * width, line);
                    let before = if first { 0.0 } else { 1.0 };
                    sum.iter_mut().zip(&*line).for_each(|(s, v)| {
                        *s = if before == 0.0 {
                            v * part
                        } else {
                            *s + v * part
                        }
                    });
                    first = false;
                }
            }
            for (to, w) in result.iter_mut().zip(&widths) {
                *to = match w.part {
                    0.0 => sum[w.low],
                    part => sum[w.low] * (1.0 - part) + sum[w.high] * part,
                };
            }
            out.store(i * row, result);
        });
    }))
}
