//! Functions of one tensor, elementwise. aclnn makes a strided input contiguous before them.

use super::elementwise::round_between;
use super::{Plan, phase_2};
use crate::array::{View, map};
use crate::nnop::{Checked, Task, Tensor, prepare, tensor};
use crate::rules::{self, FLOATS};
use cann_sys::*;

phase_2!(
    aclnnNeg aclnnExp aclnnSqrt aclnnSin aclnnCos aclnnTanh aclnnSigmoid aclnnSilu aclnnRelu aclnnGelu aclnnGeluV2
);

/// `-x`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnNegGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnNeg", workspace_size, executor, || {
        same_type("self", self_, "out", out, |x| -x)
    })
}

/// `e^x`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnExpGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnExp", workspace_size, executor, || {
        any_float("self", self_, "out", out, f32::exp)
    })
}

/// The square root.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSqrtGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSqrt", workspace_size, executor, || {
        any_float("self", self_, "out", out, f32::sqrt)
    })
}

/// The sine.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSinGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSin", workspace_size, executor, || {
        any_float("self", self_, "out", out, f32::sin)
    })
}

/// The cosine.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnCosGetWorkspaceSize(
    input: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnCos", workspace_size, executor, || {
        any_float("input", input, "out", out, f32::cos)
    })
}

/// The hyperbolic tangent.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnTanhGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnTanh", workspace_size, executor, || {
        any_float("self", self_, "out", out, f32::tanh)
    })
}

/// `1 / (1 + e^-x)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSigmoidGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSigmoid", workspace_size, executor, || {
        any_float("self", self_, "out", out, sigmoid)
    })
}

/// `x * sigmoid(x)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSiluGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSilu", workspace_size, executor, || {
        same_type("self", self_, "out", out, |x| x * sigmoid(x))
    })
}

/// `max(x, 0)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnReluGetWorkspaceSize(
    self_: *const aclTensor,
    out: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnRelu", workspace_size, executor, || {
        same_type("self", self_, "out", out, relu)
    })
}

/// `x * Phi(x)` with the normal distribution function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnGeluGetWorkspaceSize(
    self_: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnGelu", workspace_size, executor, || {
        same_type("self", self_, "out", out, gelu_erf)
    })
}

/// GELU, exact (`approximate` 0) or by tanh (1).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnGeluV2GetWorkspaceSize(
    x: *const aclTensor,
    approximate: i64,
    y: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare(
        "aclnnGeluV2",
        workspace_size,
        executor,
        || match approximate {
            0 => same_type("x", x, "y", y, gelu_erf),
            1 => same_type("x", x, "y", y, gelu_tanh),
            _ => rules::refuse(format!(
                "approximate is {approximate}, must be 0 (erf) or 1 (tanh)"
            )),
        },
    )
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn relu(x: f32) -> f32 {
    // Not `max`, which drops a NaN.
    if x < 0.0 { 0.0 } else { x }
}

/// Hendrycks and Gimpel, "Gaussian Error Linear Units", section 2.
fn gelu_erf(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The same paper's approximation by tanh.
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh())
}

/// For operators whose output must have the input's type.
fn same_type(
    what: &'static str,
    t: *const aclTensor,
    out_what: &'static str,
    out: *const aclTensor,
    f: impl Fn(f32) -> f32 + Send + Sync + 'static,
) -> Checked<Task> {
    let (t, out) = (tensor(what, t)?, tensor(out_what, out)?);
    rules::operand(what, &t, FLOATS)?;
    rules::same_type(out_what, &out, what, &t)?;
    rules::shape(out_what, &out, &t.shape)?;
    let via = t.dtype;
    pointwise(what, t, out, via, f)
}

/// For operators whose output may be of any floating type: CANN converts the result.
fn any_float(
    what: &'static str,
    t: *const aclTensor,
    out_what: &'static str,
    out: *const aclTensor,
    f: impl Fn(f32) -> f32 + Send + Sync + 'static,
) -> Checked<Task> {
    let (t, out) = (tensor(what, t)?, tensor(out_what, out)?);
    let via = t.dtype;
    pointwise(what, t, out, via, f)
}

/// `out = f(t)`, computed in the type `via`.
pub(super) fn pointwise(
    what: &'static str,
    t: Tensor,
    out: Tensor,
    via: aclDataType,
    f: impl Fn(f32) -> f32 + Send + Sync + 'static,
) -> Checked<Task> {
    rules::operand(what, &t, FLOATS)?;
    rules::operand("out", &out, FLOATS)?;
    rules::shape("out", &out, &t.shape)?;
    let mut plan = Plan::default();
    plan.read_contiguous(&t);
    plan.cast(&t.shape, t.dtype, via);
    plan.cast(&out.shape, via, out.dtype);
    plan.write(&out);
    Ok(plan.task(0, move |access| {
        let (t, out) = (View::of(&t, access), View::of(&out, access));
        map([&t], &out, |[x], y| {
            for (y, x) in y.iter_mut().zip(x) {
                *y = f(*x);
            }
            round_between(via, out.dtype(), y);
        });
    }))
}
