//! Matrix products. Sums run in f32; the cube units round them once to the output's type. f32 operands go in as they
//! are with `cubeMathType` 0 and as HF32 with 1. An operand whose last two axes are swapped is read without a copy;
//! other strides are made contiguous first.

use super::elementwise::round_between;
use super::product::{Matrix, Operand, batches, multiply};
use super::{CUBE_WORKSPACE, Plan, phase_2};
use crate::array::View;
use crate::nnop::{Checked, Tensor, prepare, scalar, tensor};
use crate::rules::{self, FLOATS, describe};
use cann_sys::*;
use rayon::prelude::*;

phase_2!(aclnnMatmul aclnnAddmm aclnnBatchMatMul);

/// Elements that a thread rounds and stores at a time.
const PART: usize = 8192;

/// `self @ mat2` with NumPy's rules for 1 to 6 axes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnMatmulGetWorkspaceSize(
    self_: *const aclTensor,
    mat2: *const aclTensor,
    out: *mut aclTensor,
    cube_math_type: i8,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnMatmul", workspace_size, executor, || {
        let (a, b) = (tensor("self", self_)?, tensor("mat2", mat2)?);
        let out = tensor("out", out)?;
        let via = operands(("self", &a), ("mat2", &b), &out, 1..=6, cube_math_type)?;
        let ([m, k, n], batch) = sizes(("self", &a), ("mat2", &b))?;
        let mut expected = batch.clone();
        expected.extend((a.shape.len() > 1).then_some(m));
        expected.extend((b.shape.len() > 1).then_some(n));
        rules::shape("out", &out, &expected)?;
        let mut plan = Plan::default();
        read(&mut plan, &a, via);
        read(&mut plan, &b, via);
        plan.cast(&out.shape, via, out.dtype);
        plan.write(&out);
        let hf32 = via == ACL_FLOAT && cube_math_type == 1;
        Ok(plan.task(CUBE_WORKSPACE, move |access| {
            let [mut a, mut b, mut z] = [&a, &b, &out].map(|t| View::of(t, access));
            let (row, column) = (a.shape().len() == 1, b.shape().len() == 1);
            if row {
                a = a.broadcast(&[1, k]);
            }
            if column {
                b = b.split(0, 1);
            }
            // The output has no axis for a vector; here it has one of length 1.
            let full = [batch.as_slice(), &[m, n]].concat();
            z = z.with_unit_axes(&full);
            multiply_all(&a, &b, &z, [m, k, n], hf32, |_, values| {
                round_between(via, out.dtype, values);
            });
        }))
    })
}

/// `self @ mat2` for 3 axes and equally many matrices.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnBatchMatMulGetWorkspaceSize(
    self_: *const aclTensor,
    mat2: *const aclTensor,
    out: *mut aclTensor,
    cube_math_type: i8,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnBatchMatMul", workspace_size, executor, || {
        let (a, b) = (tensor("self", self_)?, tensor("mat2", mat2)?);
        let out = tensor("out", out)?;
        let via = operands(("self", &a), ("mat2", &b), &out, 3..=3, cube_math_type)?;
        rules::require(a.shape[0] == b.shape[0], || {
            format!(
                "mat2 is {}, must have as many matrices as self, {}",
                describe(&b),
                a.shape[0]
            )
        })?;
        let ([m, k, n], batch) = sizes(("self", &a), ("mat2", &b))?;
        rules::shape("out", &out, &[batch[0], m, n])?;
        let mut plan = Plan::default();
        read(&mut plan, &a, via);
        read(&mut plan, &b, via);
        plan.cast(&out.shape, via, out.dtype);
        plan.write(&out);
        let hf32 = via == ACL_FLOAT && cube_math_type == 1;
        Ok(plan.task(CUBE_WORKSPACE, move |access| {
            let [a, b, z] = [&a, &b, &out].map(|t| View::of(t, access));
            multiply_all(&a, &b, &z, [m, k, n], hf32, |_, values| {
                round_between(via, out.dtype, values);
            });
        }))
    })
}

/// `beta * self + alpha * (mat1 @ mat2)`. With both factors 1 and `self` one row, it is the cube units' bias and added
/// to the f32 sums; otherwise the product is rounded and the sum is an operator of its own.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnAddmmGetWorkspaceSize(
    self_: *const aclTensor,
    mat1: *const aclTensor,
    mat2: *const aclTensor,
    beta: *const aclScalar,
    alpha: *const aclScalar,
    out: *mut aclTensor,
    cube_math_type: i8,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnAddmm", workspace_size, executor, || {
        let (bias, a) = (tensor("self", self_)?, tensor("mat1", mat1)?);
        let (b, beta) = (tensor("mat2", mat2)?, scalar("beta", beta)?.value as f32);
        let alpha = scalar("alpha", alpha)?.value as f32;
        let out = tensor("out", out)?;
        let via = operands(("mat1", &a), ("mat2", &b), &out, 2..=2, cube_math_type)?;
        rules::operand("self", &bias, FLOATS)?;
        rules::format("self", &bias, &[ACL_FORMAT_ND])?;
        rules::rank("self", &bias, 1..=2)?;
        let ([m, k, n], _) = sizes(("mat1", &a), ("mat2", &b))?;
        rules::shape("out", &out, &[m, n])?;
        let fits = rules::broadcast_shapes(&[&bias.shape, &[m, n]]);
        rules::require(fits.as_deref() == Some(&[m, n]), || {
            format!(
                "self is {}, must broadcast to {:?}",
                describe(&bias),
                [m, n]
            )
        })?;
        let one_row = bias.shape.last() == Some(&n) && bias.shape.iter().product::<usize>() == n;
        let fused = one_row && alpha == 1.0 && beta == 1.0;
        let mut plan = Plan::default();
        plan.read_contiguous(&bias);
        read(&mut plan, &a, via);
        read(&mut plan, &b, via);
        // The bias of a bf16 product is f32, and so is the sum that takes its place.
        let sum = match via {
            ACL_BF16 => ACL_FLOAT,
            via => rules::promote(via, bias.dtype),
        };
        if fused {
            let wanted = if bias.dtype == ACL_BF16 {
                ACL_FLOAT
            } else {
                bias.dtype
            };
            plan.cast(&bias.shape, bias.dtype, wanted);
            plan.cast(&out.shape, via, out.dtype);
        } else {
            plan.cast(&bias.shape, bias.dtype, sum);
            plan.cast(&out.shape, via, sum);
            plan.cast(&out.shape, sum, out.dtype);
        }
        plan.write(&out);
        let hf32 = via == ACL_FLOAT && cube_math_type == 1;
        Ok(plan.task(CUBE_WORKSPACE, move |access| {
            let [bias, a, b, z] = [&bias, &a, &b, &out].map(|t| View::of(t, access));
            let bias = bias.broadcast(&[m, n]);
            multiply_all(&a, &b, &z, [m, k, n], hf32, |start, values| {
                let mut added = vec![0.0; values.len()];
                bias.load(start, &mut added);
                if fused {
                    values.iter_mut().zip(&added).for_each(|(v, a)| *v += a);
                    round_between(via, out.dtype, values);
                } else {
                    added.iter_mut().for_each(|a| *a *= beta);
                    round_between(sum, ACL_FLOAT, &mut added);
                    round_between(via, ACL_FLOAT, values);
                    values
                        .iter_mut()
                        .zip(&added)
                        .for_each(|(v, a)| *v = a + alpha * *v);
                    round_between(sum, out.dtype, values);
                }
            });
        }))
    })
}

/// Checks what all three have in common and gives the type to compute in.
fn operands(
    (a_name, a): (&str, &Tensor),
    (b_name, b): (&str, &Tensor),
    out: &Tensor,
    ranks: std::ops::RangeInclusive<usize>,
    cube_math_type: i8,
) -> Checked<aclDataType> {
    rules::operand(a_name, a, FLOATS)?;
    rules::operand(b_name, b, FLOATS)?;
    rules::operand("out", out, FLOATS)?;
    rules::rank(a_name, a, ranks.clone())?;
    rules::rank(b_name, b, ranks)?;
    cube_math(cube_math_type)?;
    let bf16 = [a.dtype, b.dtype].contains(&ACL_BF16);
    rules::require(a.dtype == b.dtype || !bf16, || {
        format!(
            "{a_name} is {} and {b_name} {}, must be of one type, or f16 and f32",
            describe(a),
            describe(b)
        )
    })?;
    let narrowed = cube_math_type == 0 && a.dtype == ACL_FLOAT && out.dtype == ACL_FLOAT16;
    rules::require(!narrowed, || {
        format!(
            "out is {}, must not be f16 beside {a_name} of f32 with cubeMathType 0",
            describe(out)
        )
    })?;
    Ok(rules::promote(a.dtype, b.dtype))
}

/// Refuses other ways to compute than CANN 8.1 documents.
pub(super) fn cube_math(given: i8) -> Checked<()> {
    rules::require([0, 1].contains(&given), || {
        format!("cubeMathType is {given}, must be 0 (KEEP_DTYPE) or 1 (ALLOW_FP32_DOWN_PRECISION)")
    })
}

/// Rows, summed length and columns, and the leading axes of the product.
fn sizes(
    (a_name, a): (&str, &Tensor),
    (b_name, b): (&str, &Tensor),
) -> Checked<([usize; 3], Vec<usize>)> {
    let (a_lead, [m, k]) = match a.shape.as_slice() {
        [k] => (&[][..], [1, *k]),
        [lead @ .., m, k] => (lead, [*m, *k]),
        [] => unreachable!("the rank is checked"),
    };
    let (b_lead, [b_k, n]) = match b.shape.as_slice() {
        [k] => (&[][..], [*k, 1]),
        [lead @ .., k, n] => (lead, [*k, *n]),
        [] => unreachable!("the rank is checked"),
    };
    rules::require(k == b_k, || {
        format!(
            "{b_name} is {}, must have {k} rows, as {a_name} {} has columns",
            describe(b),
            describe(a)
        )
    })?;
    match rules::broadcast_shapes(&[a_lead, b_lead]) {
        Some(batch) => Ok(([m, k, n], batch)),
        None => rules::refuse(format!(
            "{a_name} {:?} and {b_name} {:?} do not broadcast but for their last two axes",
            a.shape, b.shape
        )),
    }
}

fn read(plan: &mut Plan, t: &Tensor, via: aclDataType) {
    if swapped(t) {
        plan.read(t);
    } else {
        plan.read_contiguous(t);
    }
    plan.cast(&t.shape, t.dtype, via);
}

/// Whether a tensor is contiguous but for its last two axes, which are swapped.
fn swapped(t: &Tensor) -> bool {
    let rank = t.shape.len();
    if rank < 2 {
        return false;
    }
    let mut back = t.clone();
    back.shape.swap(rank - 2, rank - 1);
    back.strides.swap(rank - 2, rank - 1);
    rules::is_contiguous(&back)
}

/// Multiplies all matrices. `finish` gets parts of a product in row-major order, before they are stored.
fn multiply_all(
    a: &View,
    b: &View,
    out: &View,
    size: [usize; 3],
    hf32: bool,
    finish: impl Fn(usize, &mut [f32]) + Sync,
) {
    let [m, _, n] = size;
    let lead = &out.shape()[..out.shape().len() - 2];
    let (a, b) = (Operand::new(a, hf32), Operand::new(b, hf32));
    let (a, b, out) = (a.matrices(lead), b.matrices(lead), batches(out, lead.len()));
    let one = |(a, b, out): (Matrix, Matrix, &View), threads: bool| {
        let mut product = vec![0.0; m * n];
        // SAFETY: the operands are alive and cover what their strides reach; the product is `m` rows of `n`.
        unsafe { multiply(size, a, b, product.as_mut_ptr(), n as isize, threads) };
        product
            .par_chunks_mut(PART)
            .enumerate()
            .for_each(|(i, part)| {
                finish(i * PART, part);
                out.store(i * PART, part);
            });
    };
    let all: Vec<_> = a
        .into_iter()
        .zip(b)
        .zip(&out)
        .map(|((a, b), out)| (a, b, out))
        .collect();
    if all.len() < rayon::current_num_threads() {
        all.into_iter().for_each(|each| one(each, true));
    } else {
        all.into_par_iter().for_each(|each| one(each, false));
    }
}
