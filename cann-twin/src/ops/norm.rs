//! Normalisation. Mean and variance run in f32 over the elements as they are; the result is rounded once. aclnn makes
//! strided inputs contiguous.

use super::{Plan, phase_2};
use crate::array::{View, in_rows};
use crate::nnop::{Checked, Tensor, ints, optional_tensor, prepare, tensor};
use crate::rules::{self, FLOATS, describe};
use cann_sys::*;

phase_2!(aclnnLayerNorm aclnnRmsNorm aclnnGroupNorm);

/// `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnLayerNormGetWorkspaceSize(
    input: *const aclTensor,
    normalized_shape: *const aclIntArray,
    weight: *const aclTensor,
    bias: *const aclTensor,
    eps: f64,
    out: *mut aclTensor,
    mean_out: *mut aclTensor,
    rstd_out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnLayerNorm", workspace_size, executor, || {
        let x = tensor("input", input)?;
        let shape = ints("normalizedShape", normalized_shape)?;
        let weight = optional_tensor("weightOptional", weight)?;
        let bias = optional_tensor("biasOptional", bias)?;
        let out = tensor("out", out)?;
        let mean = optional_tensor("meanOutOptional", mean_out)?;
        let rstd = optional_tensor("rstdOutOptional", rstd_out)?;

        rules::operand("input", &x, FLOATS)?;
        rules::operand("out", &out, FLOATS)?;
        rules::shape("out", &out, &x.shape)?;
        let rows = x
            .shape
            .len()
            .checked_sub(shape.len())
            .filter(|_| !shape.is_empty());
        let fits = rows.is_some_and(|n| {
            x.shape[n..]
                .iter()
                .map(|&n| n as i64)
                .eq(shape.iter().copied())
        });
        let Some(rows) = rows.filter(|_| fits) else {
            return rules::refuse(format!(
                "normalizedShape is {shape:?}, must be the last axes of input, {}",
                describe(&x)
            ));
        };
        for (what, t) in [("weightOptional", &weight), ("biasOptional", &bias)] {
            let Some(t) = t else { continue };
            rules::operand(what, t, FLOATS)?;
            if t.dtype != ACL_FLOAT {
                rules::same_type(what, t, "input", &x)?;
            }
            rules::shape(what, t, &x.shape[rows..])?;
        }
        if let (Some(weight), Some(bias)) = (&weight, &bias) {
            rules::same_type("biasOptional", bias, "weightOptional", weight)?;
        }
        let statistics_shape: Vec<_> = x.shape[..rows]
            .iter()
            .copied()
            .chain(shape.iter().map(|_| 1))
            .collect();
        for (what, t) in [("meanOutOptional", &mean), ("rstdOutOptional", &rstd)] {
            let Some(t) = t else { continue };
            rules::operand(what, t, FLOATS)?;
            rules::shape(what, t, &statistics_shape)?;
        }
        rules::require(eps.is_finite(), || format!("eps is {eps}, must be finite"))?;

        let mut plan = Plan::default();
        plan.read_contiguous(&x);
        [&weight, &bias]
            .into_iter()
            .flatten()
            .for_each(|t| plan.read_contiguous(t));
        plan.cast(&out.shape, x.dtype, out.dtype);
        plan.write(&out);
        for t in [&mean, &rstd].into_iter().flatten() {
            plan.cast(&t.shape, ACL_FLOAT, t.dtype);
            plan.write(t);
        }
        let eps = eps as f32;
        Ok(plan.task(0, move |access| {
            let view = |t: &Option<Tensor>| t.as_ref().map(|t| View::of(t, access));
            let (x, out) = (View::of(&x, access), View::of(&out, access));
            let [weight, bias] = [&weight, &bias].map(|t| view(t).map(|v| v.to_f32()));
            let [mean_out, rstd_out] = [view(&mean), view(&rstd)];
            let row: usize = x.shape()[rows..].iter().product();
            in_rows(x.len() / row.max(1), row, |i, values| {
                x.load(i * row, values);
                let (mean, rstd) = normalize(values, eps);
                scale_and_shift(values, weight.as_deref(), bias.as_deref());
                out.store(i * row, values);
                mean_out.iter().for_each(|v| v.store(i, &[mean]));
                rstd_out.iter().for_each(|v| v.store(i, &[rstd]));
            });
        }))
    })
}

/// `x / sqrt(mean(x^2) + epsilon) * gamma` over as many last axes as `gamma` has.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnRmsNormGetWorkspaceSize(
    x: *const aclTensor,
    gamma: *const aclTensor,
    epsilon: f64,
    y_out: *const aclTensor,
    rstd_out: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnRmsNorm", workspace_size, executor, || {
        let (x, gamma) = (tensor("x", x)?, tensor("gamma", gamma)?);
        let (out, rstd) = (tensor("yOut", y_out)?, tensor("rstdOut", rstd_out)?);
        rules::operand("x", &x, FLOATS)?;
        rules::operand("gamma", &gamma, FLOATS)?;
        if gamma.dtype != ACL_FLOAT {
            rules::same_type("gamma", &gamma, "x", &x)?;
        }
        rules::operand("yOut", &out, FLOATS)?;
        rules::same_type("yOut", &out, "x", &x)?;
        rules::shape("yOut", &out, &x.shape)?;
        let rows = x
            .shape
            .len()
            .checked_sub(gamma.shape.len())
            .filter(|_| !gamma.shape.is_empty());
        let Some(rows) = rows.filter(|&n| x.shape[n..] == gamma.shape && !gamma.shape.contains(&0))
        else {
            return rules::refuse(format!(
                "gamma is {}, must have the last axes of x, {}",
                describe(&gamma),
                describe(&x)
            ));
        };
        rules::operand("rstdOut", &rstd, &[ACL_FLOAT])?;
        let expected: Vec<_> = x.shape[..rows]
            .iter()
            .copied()
            .chain(gamma.shape.iter().map(|_| 1))
            .collect();
        rules::shape("rstdOut", &rstd, &expected)?;
        let mut plan = Plan::default();
        plan.read_contiguous(&x);
        plan.read_contiguous(&gamma);
        plan.write(&out);
        plan.write(&rstd);
        let eps = epsilon as f32;
        Ok(plan.task(0, move |access| {
            let [x, gamma, out, rstd] = [&x, &gamma, &out, &rstd].map(|t| View::of(t, access));
            let gamma = gamma.to_f32();
            let row = gamma.len();
            in_rows(x.len() / row.max(1), row, |i, values| {
                x.load(i * row, values);
                let mean = sum_of(values, |v| v * v) / row as f32;
                let factor = 1.0 / (mean + eps).sqrt();
                values
                    .iter_mut()
                    .zip(&gamma)
                    .for_each(|(v, g)| *v = *v * factor * g);
                out.store(i * row, values);
                rstd.store(i, &[factor]);
            });
        }))
    })
}

/// `(x - mean) / sqrt(variance + eps) * gamma + beta` over each group of channels of `[N, C, ..]`.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub(crate) unsafe extern "C" fn aclnnGroupNormGetWorkspaceSize(
    self_: *const aclTensor,
    gamma: *const aclTensor,
    beta: *const aclTensor,
    N: i64,
    C: i64,
    HxW: i64,
    group: i64,
    eps: f64,
    out: *mut aclTensor,
    mean_out: *mut aclTensor,
    rstd_out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnGroupNorm", workspace_size, executor, || {
        let x = tensor("self", self_)?;
        let gamma = optional_tensor("gamma", gamma)?;
        let beta = optional_tensor("beta", beta)?;
        let (out, mean) = (tensor("out", out)?, tensor("meanOut", mean_out)?);
        let rstd = tensor("rstdOut", rstd_out)?;
        rules::operand("self", &x, FLOATS)?;
        rules::rank("self", &x, 2..=8)?;
        let [n, c] = [x.shape[0], x.shape[1]];
        let inner: usize = x.shape[2..].iter().product();
        for (what, given, actual) in [("N", N, n), ("C", C, c), ("HxW", HxW, inner)] {
            rules::require(given == actual as i64, || {
                format!(
                    "{what} is {given}, must be {actual} for self, {}",
                    describe(&x)
                )
            })?;
        }
        rules::require(group > 0 && C % group == 0, || {
            format!("group is {group}, must be greater than 0 and divide C, {C}")
        })?;
        rules::require(eps > 0.0 && eps.is_finite(), || {
            format!("eps is {eps}, must be greater than 0")
        })?;
        for (what, t) in [("gamma", &gamma), ("beta", &beta)] {
            let Some(t) = t else { continue };
            of_type(what, t, &x)?;
            rules::shape(what, t, &[c])?;
        }
        of_type("out", &out, &x)?;
        rules::shape("out", &out, &x.shape)?;
        rules::format("out", &out, &[x.format])?;
        let plain = [
            ACL_FORMAT_ND,
            ACL_FORMAT_NCL,
            ACL_FORMAT_NCHW,
            ACL_FORMAT_NCDHW,
        ];
        rules::format("self", &x, &plain)?;
        let groups = group as usize;
        for (what, t) in [("meanOut", &mean), ("rstdOut", &rstd)] {
            of_type(what, t, &x)?;
            rules::shape(what, t, &[n, groups])?;
        }
        let mut plan = Plan::default();
        plan.read_contiguous(&x);
        [&gamma, &beta]
            .into_iter()
            .flatten()
            .for_each(|t| plan.read_contiguous(t));
        plan.write(&out);
        plan.write(&mean);
        plan.write(&rstd);
        let eps = eps as f32;
        Ok(plan.task(0, move |access| {
            let [x, out, mean_out, rstd_out] =
                [&x, &out, &mean, &rstd].map(|t| View::of(t, access));
            let [gamma, beta] =
                [&gamma, &beta].map(|t| t.as_ref().map(|t| View::of(t, access).to_f32()));
            let channels = c / groups;
            let row = channels * inner;
            in_rows(n * groups, row, |i, values| {
                x.load(i * row, values);
                let (mean, rstd) = normalize(values, eps);
                for (k, values) in values.chunks_exact_mut(inner.max(1)).enumerate() {
                    let channel = i % groups * channels + k;
                    let factor = gamma.as_ref().map_or(1.0, |g| g[channel]);
                    let shift = beta.as_ref().map_or(0.0, |b| b[channel]);
                    values.iter_mut().for_each(|v| *v = *v * factor + shift);
                }
                out.store(i * row, values);
                mean_out.store(i, &[mean]);
                rstd_out.store(i, &[rstd]);
            });
        }))
    })
}

fn of_type(what: &str, t: &Tensor, x: &Tensor) -> Checked<()> {
    rules::operand(what, t, FLOATS)?;
    rules::same_type(what, t, "self", x)
}

/// Subtracts the mean and divides by the deviation; gives the mean and the factor.
fn normalize(values: &mut [f32], eps: f32) -> (f32, f32) {
    let n = values.len() as f32;
    let mean = sum_of(values, |v| v) / n;
    let variance = sum_of(values, |v| (v - mean) * (v - mean)) / n;
    let factor = 1.0 / (variance + eps).sqrt();
    values.iter_mut().for_each(|v| *v = (*v - mean) * factor);
    (mean, factor)
}

fn scale_and_shift(values: &mut [f32], weight: Option<&[f32]>, bias: Option<&[f32]>) {
    if let Some(weight) = weight {
        values.iter_mut().zip(weight).for_each(|(v, w)| *v *= w);
    }
    if let Some(bias) = bias {
        values.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
    }
}

/// Sum of `f` over values: in 16 lanes over blocks, whose sums are added up in f64, so that a long row loses nothing.
pub(super) fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut total = 0.0;
    for block in values.chunks(1024) {
        let mut lanes = [0.0; 16];
        let (whole, rest) = block.as_chunks::<16>();
        for part in whole {
            for (lane, v) in lanes.iter_mut().zip(part) {
                *lane += f(*v);
            }
        }
        let rest: f32 = rest.iter().map(|v| f(*v)).sum();
        total += f64::from(lanes.iter().sum::<f32>() + rest);
    }
    total as f32
}
