//! Elements moved and not computed with.

use super::{Plan, phase_2};
use crate::array::{View, convert, element, fill};
use crate::nnop::{ints, prepare, scalar, tensor, tensors};
use crate::rules::{self, ALL, FLOATS, describe};
use cann_sys::*;
use rayon::prelude::*;

phase_2!(aclnnPermute aclnnInplaceCopy aclnnCat aclnnConstantPadNd aclnnEmbedding);

/// Axis `dims[i]` in place `i`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnPermuteGetWorkspaceSize(
    self_: *const aclTensor,
    dims: *const aclIntArray,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnPermute", workspace_size, executor, || {
        let (t, dims) = (tensor("self", self_)?, ints("dims", dims)?);
        let out = tensor("out", out)?;
        rules::operand("self", &t, ALL)?;
        rules::operand("out", &out, ALL)?;
        rules::same_type("out", &out, "self", &t)?;
        let axes = rules::axes("dims", &dims, t.shape.len())?;
        rules::require(axes.len() == t.shape.len(), || {
            format!(
                "dims is {dims:?}, must name all axes of self, {}",
                describe(&t)
            )
        })?;
        let expected: Vec<_> = axes.iter().map(|&a| t.shape[a]).collect();
        rules::shape("out", &out, &expected)?;
        let mut plan = Plan::default();
        plan.read_contiguous(&t);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            convert(
                &View::of(&t, access).permute(&axes),
                &View::of(&out, access),
            );
        }))
    })
}

/// `src`, converted and broadcast, into `selfRef`, whatever the strides of both.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnInplaceCopyGetWorkspaceSize(
    self_ref: *mut aclTensor,
    src: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnInplaceCopy", workspace_size, executor, || {
        let (to, from) = (tensor("selfRef", self_ref)?, tensor("src", src)?);
        rules::operand("selfRef", &to, ALL)?;
        rules::operand("src", &from, ALL)?;
        let fits = rules::broadcast_shapes(&[&from.shape, &to.shape]);
        rules::require(fits.as_ref() == Some(&to.shape), || {
            format!(
                "src is {}, must broadcast to selfRef, {}",
                describe(&from),
                describe(&to)
            )
        })?;
        let mut plan = Plan::default();
        plan.read_contiguous(&from);
        plan.cast(&from.shape, from.dtype, to.dtype);
        if from.shape != to.shape {
            plan.copy(rules::bytes(&to));
        }
        // Writing with strides is the operator itself.
        plan.writes.push(to.clone());
        Ok(plan.task(0, move |access| {
            convert(
                &View::of(&from, access).broadcast(&to.shape),
                &View::of(&to, access),
            );
        }))
    })
}

/// Tensors one after the other along an axis.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnCatGetWorkspaceSize(
    list: *const aclTensorList,
    dim: i64,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnCat", workspace_size, executor, || {
        let (parts, out) = (tensors("tensors", list)?, tensor("out", out)?);
        let Some(first) = parts.first() else {
            return rules::refuse("tensors is empty, must have at least one".to_owned());
        };
        rules::operand("out", &out, ALL)?;
        rules::rank("tensors[0]", first, 1..=rules::MAX_RANK)?;
        let axis = rules::axis("dim", dim, first.shape.len())?;
        let mut via = first.dtype;
        let mut expected = first.shape.clone();
        expected[axis] = 0;
        for (i, t) in parts.iter().enumerate() {
            let what = format!("tensors[{i}]");
            rules::operand(&what, t, ALL)?;
            let mut shape = t.shape.clone();
            if let Some(n) = shape.get_mut(axis) {
                expected[axis] += *n;
                *n = first.shape[axis];
            }
            rules::require(shape == first.shape, || {
                format!(
                    "{what} is {}, must be like tensors[0], {}, but along dim {axis}",
                    describe(t),
                    describe(first)
                )
            })?;
            let floats = FLOATS.contains(&t.dtype) && FLOATS.contains(&via);
            rules::require(t.dtype == via || floats, || {
                format!(
                    "{what} is {}, must have the type of tensors[0], {}",
                    describe(t),
                    describe(first)
                )
            })?;
            via = rules::promote(via, t.dtype);
        }
        rules::shape("out", &out, &expected)?;
        let reachable = via == out.dtype || FLOATS.contains(&via) && FLOATS.contains(&out.dtype);
        rules::require(reachable, || {
            format!(
                "out is {}, must have the type of tensors[0], {}",
                describe(&out),
                describe(first)
            )
        })?;
        let mut plan = Plan::default();
        for t in &parts {
            plan.read_contiguous(t);
            plan.cast(&t.shape, t.dtype, via);
        }
        plan.cast(&out.shape, via, out.dtype);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            let out = View::of(&out, access);
            let mut start = 0;
            for t in &parts {
                let t = View::of(t, access);
                let end = start + t.shape()[axis];
                convert(&t, &out.slice(axis, start..end));
                start = end;
            }
        }))
    })
}

/// `self` with `value` around it: `pad` holds how many before and after, from the last axis on. Fewer than 0 crop.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnConstantPadNdGetWorkspaceSize(
    self_: *const aclTensor,
    pad: *const aclIntArray,
    value: *const aclScalar,
    out: *mut aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnConstantPadNd", workspace_size, executor, || {
        let (t, pad) = (tensor("self", self_)?, ints("pad", pad)?);
        let (value, out) = (scalar("value", value)?.value, tensor("out", out)?);
        rules::operand("self", &t, ALL)?;
        rules::operand("out", &out, ALL)?;
        rules::same_type("out", &out, "self", &t)?;
        rules::format("out", &out, &[t.format])?;
        let rank = t.shape.len();
        rules::require(pad.len() % 2 == 0 && pad.len() <= 2 * rank, || {
            format!(
                "pad is {pad:?}, must be an even number of up to {}",
                2 * rank
            )
        })?;
        let mut pads = vec![[0, 0]; rank];
        for (to, from) in pads.iter_mut().rev().zip(pad.chunks_exact(2)) {
            *to = [from[0], from[1]];
        }
        let grown: Vec<i64> = t
            .shape
            .iter()
            .zip(&pads)
            .map(|(&n, [before, after])| (n as i64).saturating_add(*before).saturating_add(*after))
            .collect();
        rules::require(grown.iter().all(|&n| n >= 0), || {
            format!(
                "pad is {pad:?}, must leave axes of self, {}, of 0 or more",
                describe(&t)
            )
        })?;
        let expected: Vec<_> = grown.iter().map(|&n| n as usize).collect();
        rules::shape("out", &out, &expected)?;
        let mut plan = Plan::default();
        plan.read_contiguous(&t);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            let (mut inner, mut place) = (View::of(&t, access), View::of(&out, access));
            fill(&place, value);
            for (axis, &[before, after]) in pads.iter().enumerate() {
                let n = inner.shape()[axis];
                let to = place.shape()[axis];
                let [cut, cut_end] = [before, after].map(|p| (-p).max(0) as usize);
                let [grow, grow_end] = [before, after].map(|p| p.max(0) as usize);
                if cut + cut_end >= n || grow + grow_end >= to {
                    return;
                }
                inner = inner.slice(axis, cut..n - cut_end);
                place = place.slice(axis, grow..to - grow_end);
            }
            convert(&inner, &place);
        }))
    })
}

/// Rows of `weight` by `indices`. Outside of the table a device reads what it finds there; here the row is 0.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclnnEmbeddingGetWorkspaceSize(
    weight: *const aclTensor,
    indices: *const aclTensor,
    out: *const aclTensor,
    workspace_size: *mut u64,
    executor: *mut *mut aclOpExecutor,
) -> aclnnStatus {
    prepare("aclnnEmbedding", workspace_size, executor, || {
        let (weight, indices) = (tensor("weight", weight)?, tensor("indices", indices)?);
        let out = tensor("out", out)?;
        rules::operand("weight", &weight, ALL)?;
        rules::rank("weight", &weight, 2..=2)?;
        rules::operand("indices", &indices, &[ACL_INT64, ACL_INT32])?;
        rules::operand("out", &out, ALL)?;
        rules::same_type("out", &out, "weight", &weight)?;
        let [rows, width] = [weight.shape[0], weight.shape[1]];
        let expected = [indices.shape.as_slice(), &[width]].concat();
        rules::shape("out", &out, &expected)?;
        let mut plan = Plan::default();
        plan.read_contiguous(&weight);
        plan.read_contiguous(&indices);
        plan.write(&out);
        Ok(plan.task(0, move |access| {
            let [weight, indices, out] = [&weight, &indices, &out].map(|t| View::of(t, access));
            let mut chosen = vec![0i64; indices.len()];
            indices.load(0, &mut chosen);
            let size = element::size(out.dtype()).unwrap_or(1);
            (0..chosen.len())
                .into_par_iter()
                .with_min_len((4096 / (width * size)).max(1))
                .for_each(|i| {
                    let row = out.row(i);
                    match usize::try_from(chosen[i]) {
                        Ok(index) if index < rows => convert(&weight.at(index), &row),
                        _ => fill(&row, 0.0),
                    }
                });
        }))
    })
}
