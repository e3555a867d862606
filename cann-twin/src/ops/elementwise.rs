//! Arithmetic with broadcasting.
//!
//! aclnn makes strided inputs contiguous before these operators. Two types are computed in the wider one. A scalar is
//! first made a tensor of the computing type, so beside f16 it has f16's 11 bits.

use super::unary::pointwise;
use super::{Plan, phase_2};
use crate::array::element::{Bf16, Via, round_to};
use crate::array::{View, convert, map};
use crate::nnop::{Checked, Task, Tensor, prepare, scalar, tensor};
use crate::rules::{self, ALL, FLOATS, type_name};
use cann_sys::*;
use half::{bf16, f16};

phase_2!(aclnnAdd aclnnSub aclnnMul aclnnDiv aclnnAdds aclnnMuls aclnnAddcmul aclnnCast);

/// `self + alpha * other`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnAddGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclTensor,
    alpha: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnAdd", workspace_size, executor, || {
        sum(self_, other, alpha, out, 1.0)
    })
}

/// `self - alpha * other`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnSubGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclTensor,
    alpha: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnSub", workspace_size, executor, || {
        sum(self_, other, alpha, out, -1.0)
    })
}

fn sum(
    a: *const aclTensor,
    b: *const aclTensor,
    alpha: *const aclScalar,
    out: *const aclTensor,
    sign: f32,
) -> Checked<Task> {
    let (a, b) = (tensor("self", a)?, tensor("other", b)?);
    let (alpha, out) = (scalar("alpha", alpha)?, tensor("out", out)?);
    let mut alpha = alpha.value as f32;
    let via = binary_types(&a, &b, &out)?;
    // The kernels take f32 beside f16 or bf16 as they are; beside a factor they do not.
    let mixed = a.dtype != b.dtype && via == a.dtype.min(b.dtype) && alpha == 1.0;
    let bf16_factor = via == ACL_BF16 && alpha != 1.0;
    if bf16_factor {
        alpha = round_to(ACL_BF16, alpha.into()) as f32;
    }
    binary(a, b, out, via, !mixed, move |[x, y], z| {
        for ((z, x), y) in z.iter_mut().zip(x).zip(y) {
            let mut scaled = alpha * y;
            if bf16_factor {
                // bf16 has no operator for it: a product and a sum.
                scaled = bf16::from_f32(scaled).to_f32();
            }
            *z = x + sign * scaled;
        }
    })
}

/// `self * other`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnMulGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnMul", workspace_size, executor, || {
        pairwise(self_, other, out, |x, y| x * y)
    })
}

/// `self / other`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnDivGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclTensor,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnDiv", workspace_size, executor, || {
        pairwise(self_, other, out, |x, y| x / y)
    })
}

fn pairwise(
    a: *const aclTensor,
    b: *const aclTensor,
    out: *const aclTensor,
    f: impl Fn(f32, f32) -> f32 + Send + Sync + 'static,
) -> Checked<Task> {
    let (a, b) = (tensor("self", a)?, tensor("other", b)?);
    let out = tensor("out", out)?;
    let via = binary_types(&a, &b, &out)?;
    binary(a, b, out, via, true, move |[x, y], z| {
        for ((z, x), y) in z.iter_mut().zip(x).zip(y) {
            *z = f(*x, *y);
        }
    })
}

/// Checks types and gives the one to compute in.
fn binary_types(a: &Tensor, b: &Tensor, out: &Tensor) -> Checked<aclDataType> {
    rules::operand("self", a, FLOATS)?;
    rules::operand("other", b, FLOATS)?;
    rules::operand("out", out, FLOATS)?;
    Ok(rules::promote(a.dtype, b.dtype))
}

fn binary(
    a: Tensor,
    b: Tensor,
    out: Tensor,
    via: aclDataType,
    casts: bool,
    f: impl Fn([&[f32]; 2], &mut [f32]) + Send + Sync + 'static,
) -> Checked<Task> {
    rules::shape(
        "out",
        &out,
        &rules::broadcast(&[("self", &a), ("other", &b)])?,
    )?;
    let mut plan = Plan::default();
    for t in [&a, &b] {
        plan.read_contiguous(t);
        if casts {
            plan.cast(&t.shape, t.dtype, via);
        }
    }
    plan.cast(&out.shape, via, out.dtype);
    plan.write(&out);
    Ok(plan.task(0, move |access| {
        let [a, b, z] = [&a, &b, &out].map(|t| View::of(t, access));
        map([&a, &b], &z, |inputs, result| {
            f(inputs, result);
            round_between(via, z.dtype(), result);
        });
    }))
}

/// Rounds to the type that was computed in, where the output's is another.
pub(super) fn round_between(via: aclDataType, out: aclDataType, values: &mut [f32]) {
    match via {
        _ if via == out => (),
        ACL_FLOAT16 => values
            .iter_mut()
            .for_each(|v| *v = f16::from_f32(*v).to_f32()),
        ACL_BF16 => values
            .iter_mut()
            .for_each(|v| *v = f32::of(Via::<Bf16>::to(*v))),
        _ => (),
    }
}

/// `self + alpha * other` with a number.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnAddsGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclScalar,
    alpha: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnAdds", workspace_size, executor, || {
        let (t, other) = (tensor("self", self_)?, scalar("other", other)?);
        let (alpha, out) = (scalar("alpha", alpha)?, tensor("out", out)?);
        rules::operand("self", &t, FLOATS)?;
        let other = round_to(t.dtype, other.value);
        let number = match t.dtype {
            ACL_BF16 => round_to(ACL_BF16, other * round_to(ACL_BF16, alpha.value)),
            _ => other * round_to(ACL_FLOAT, alpha.value),
        } as f32;
        let via = t.dtype;
        pointwise("self", t, out, via, move |x| x + number)
    })
}

/// `self * other` with a number.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnMulsGetWorkspaceSize(
    self_: *const aclTensor,
    other: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnMuls", workspace_size, executor, || {
        let (t, other) = (tensor("self", self_)?, scalar("other", other)?);
        let out = tensor("out", out)?;
        rules::operand("self", &t, FLOATS)?;
        // bf16 goes through f32, but for a factor of type f64: an operator of its own takes that one as f32.
        let via = match (t.dtype, other.dtype) {
            (ACL_BF16, ACL_DOUBLE) => ACL_BF16,
            (ACL_BF16, _) => ACL_FLOAT,
            (dtype, _) => dtype,
        };
        let number = match via {
            ACL_FLOAT16 => round_to(ACL_FLOAT16, other.value),
            _ => other.value,
        } as f32;
        pointwise("self", t, out, via, move |x| x * number)
    })
}

/// `self + value * tensor1 * tensor2`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnAddcmulGetWorkspaceSize(
    self_: *const aclTensor,
    tensor1: *const aclTensor,
    tensor2: *const aclTensor,
    value: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnAddcmul", workspace_size, executor, || {
        let inputs = [
            ("self", tensor("self", self_)?),
            ("tensor1", tensor("tensor1", tensor1)?),
            ("tensor2", tensor("tensor2", tensor2)?),
        ];
        let (value, out) = (scalar("value", value)?, tensor("out", out)?);
        for (what, t) in &inputs {
            rules::operand(what, t, FLOATS)?;
        }
        rules::operand("out", &out, FLOATS)?;
        let named = inputs.each_ref().map(|(what, t)| (*what, t));
        rules::shape("out", &out, &rules::broadcast(&named)?)?;
        let inputs = inputs.map(|(_, t)| t);
        let via = inputs
            .iter()
            .fold(inputs[0].dtype, |via, t| rules::promote(via, t.dtype));
        let value = round_to(via, value.value) as f32;
        let mut plan = Plan::default();
        for t in &inputs {
            plan.read_contiguous(t);
            plan.cast(&t.shape, t.dtype, via);
        }
        plan.cast(&out.shape, via, out.dtype);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            let [x, a, b] = inputs.each_ref().map(|t| View::of(t, access));
            let z = View::of(&out, access);
            map([&x, &a, &b], &z, |[x, a, b], z| {
                for (((z, x), a), b) in z.iter_mut().zip(x).zip(a).zip(b) {
                    *z = x + value * a * b;
                }
                round_between(via, out.dtype, z);
            });
        }))
    })
}

/// The elements of `self` in another type. To fewer bits it rounds to nearest, ties to even; to an integer, towards 0.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnCastGetWorkspaceSize(
    self_: *const aclTensor,
    dtype: aclDataType,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnCast", workspace_size, executor, || {
        let (t, out) = (tensor("self", self_)?, tensor("out", out)?);
        rules::operand("self", &t, ALL)?;
        rules::operand("out", &out, ALL)?;
        rules::require(dtype == out.dtype, || {
            format!(
                "dtype is {}, must be the type of out, {}",
                type_name(dtype),
                type_name(out.dtype)
            )
        })?;
        rules::shape("out", &out, &t.shape)?;
        rules::format("out", &out, &[t.format])?;
        let mut plan = Plan::default();
        plan.read_contiguous(&t);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            convert(&View::of(&t, access), &View::of(&out, access));
        }))
    })
}
