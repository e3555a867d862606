//! Sums, means and maxima over axes. They run in f32 and are rounded once. aclnn makes a strided input contiguous.

use super::norm::sum_of;
use super::{Plan, phase_2};
use crate::array::{View, in_rows};
use crate::nnop::{Checked, Task, Tensor, ints, prepare, tensor};
use crate::rules::{self, FLOATS, type_name};
use cann_sys::*;

phase_2!(aclnnMean aclnnReduceSum aclnnAmax);

/// The mean over `dim`; over all axes if that is empty.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnMeanGetWorkspaceSize(
    self_: *const aclTensor,
    dim: *const aclIntArray,
    keep_dim: bool,
    dtype: aclDataType,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnMean", workspace_size, executor, || {
        let (t, dim) = (tensor("self", self_)?, ints("dim", dim)?);
        let out = tensor("out", out)?;
        float_dtype(dtype)?;
        reduction(t, ("dim", &dim), keep_dim, dtype, out, |values| {
            sum_of(values, |v| v) / values.len() as f32
        })
    })
}

/// The sum over `dims`; over all axes if that is empty.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnReduceSumGetWorkspaceSize(
    self_: *const aclTensor,
    dims: *const aclIntArray,
    keep_dims: bool,
    dtype: aclDataType,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnReduceSum", workspace_size, executor, || {
        let (t, dims) = (tensor("self", self_)?, ints("dims", dims)?);
        let out = tensor("out", out)?;
        float_dtype(dtype)?;
        rules::require(dtype == out.dtype, || {
            format!(
                "dtype is {}, must be the type of out, {}",
                type_name(dtype),
                type_name(out.dtype)
            )
        })?;
        reduction(t, ("dims", &dims), keep_dims, dtype, out, |values| {
            sum_of(values, |v| v)
        })
    })
}

/// The maximum over `dim`; over all axes if that is empty.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnAmaxGetWorkspaceSize(
    self_: *const aclTensor,
    dim: *const aclIntArray,
    keep_dim: bool,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnAmax", workspace_size, executor, || {
        let (t, dim) = (tensor("self", self_)?, ints("dim", dim)?);
        let out = tensor("out", out)?;
        rules::operand("self", &t, FLOATS)?;
        rules::same_type("out", &out, "self", &t)?;
        for axis in reduced(("dim", &dim), t.shape.len())? {
            rules::require(t.shape.get(axis) != Some(&0), || {
                format!(
                    "self is {}, must not be empty along dim {axis}",
                    rules::describe(&t)
                )
            })?;
        }
        let dtype = t.dtype;
        reduction(t, ("dim", &dim), keep_dim, dtype, out, |values| {
            let max = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
            values.iter().copied().fold(f32::NEG_INFINITY, max)
        })
    })
}

fn float_dtype(dtype: aclDataType) -> Checked<()> {
    rules::require(FLOATS.contains(&dtype), || {
        format!("dtype is {}, must be f32, f16 or bf16", type_name(dtype))
    })
}

fn reduced((what, given): (&str, &[i64]), rank: usize) -> Checked<Vec<usize>> {
    let axes = rules::axes(what, given, rank)?;
    Ok(if axes.is_empty() {
        (0..rank).collect()
    } else {
        axes
    })
}

fn reduction(
    t: Tensor,
    dims: (&str, &[i64]),
    keep: bool,
    via: aclDataType,
    out: Tensor,
    f: impl Fn(&[f32]) -> f32 + Send + Sync + 'static,
) -> Checked<Task> {
    rules::operand("self", &t, FLOATS)?;
    rules::operand("out", &out, FLOATS)?;
    let rank = t.shape.len();
    let reduced = reduced(dims, rank)?;
    let kept: Vec<_> = (0..rank).filter(|axis| !reduced.contains(axis)).collect();
    let expected: Vec<_> = (0..rank)
        .filter(|axis| keep || kept.contains(axis))
        .map(|axis| {
            if kept.contains(&axis) {
                t.shape[axis]
            } else {
                1
            }
        })
        .collect();
    rules::shape("out", &out, &expected)?;
    let mut plan = Plan::default();
    plan.read_contiguous(&t);
    plan.cast(&t.shape, t.dtype, via);
    plan.cast(&out.shape, via, out.dtype);
    plan.write(&out);
    let order: Vec<_> = kept
        .iter()
        .chain(&reduced)
        .filter(|&&axis| axis < rank)
        .copied()
        .collect();
    Ok(plan.task(0, move |access| {
        let (t, out) = (View::of(&t, access).permute(&order), View::of(&out, access));
        let row = t.len() / out.len();
        in_rows(out.len(), row, |i, values| {
            t.load(i * row, values);
            super::elementwise::round_between(via, t.dtype(), values);
            let mut result = [f(values)];
            super::elementwise::round_between(via, out.dtype(), &mut result);
            out.store(i, &result);
        });
    }))
}
