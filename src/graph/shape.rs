//! What an operation's result is, from what its inputs are.

use super::op::{Mask, Op};
use crate::tensor::{DType, numel};

/// Dtype and shape of a value.
pub type Type = (DType, Vec<usize>);

/// The result of `op` on inputs of the given types; for leaves the type is stated by the graph, so
/// they have no rule here.
///
/// # Errors
/// A sentence that says what does not fit.
pub fn infer(op: &Op, inputs: &[Type]) -> Result<Type, String> {
    let expect = |n: usize| {
        if inputs.len() == n {
            Ok(())
        } else {
            Err(format!("takes {n} inputs, got {}", inputs.len()))
        }
    };
    let optional = |present: bool| usize::from(present);
    match op {
        Op::Input | Op::Weight(_) | Op::Constant(_) => Err("a leaf has no rule".into()),
        Op::Unary(_) | Op::Affine { .. } => {
            expect(1)?;
            float(&inputs[0])?;
            Ok(inputs[0].clone())
        }
        Op::Binary(_) => {
            expect(2)?;
            let ((a, sa), (b, sb)) = (&inputs[0], &inputs[1]);
            if a != b {
                return Err(format!("operands are {a} and {b}"));
            }
            Ok((*a, broadcast(sa, sb)?))
        }
        Op::Cast(to) => {
            expect(1)?;
            Ok((*to, inputs[0].1.clone()))
        }
        Op::Linear { bias } => {
            expect(2 + optional(*bias))?;
            same_dtype(inputs)?;
            let (x, w) = (&inputs[0].1, &inputs[1].1);
            let (Some(width), [out, inner]) = (x.last(), w.as_slice()) else {
                return Err(format!("cannot multiply {x:?} by a weight {w:?}"));
            };
            if width != inner || (*bias && inputs[2].1 != [*out]) {
                return Err(format!(
                    "x {x:?}, weight {w:?}, bias {:?}",
                    inputs.get(2).map(|b| &b.1)
                ));
            }
            let mut shape = x.clone();
            *shape.last_mut().expect("x has a last axis") = *out;
            Ok((inputs[0].0, shape))
        }
        Op::MatMul { transpose_b } => {
            expect(2)?;
            same_dtype(inputs)?;
            let (a, b) = (&inputs[0].1, &inputs[1].1);
            if a.len() < 2 || b.len() < 2 {
                return Err(format!("operands {a:?} and {b:?} are not matrices"));
            }
            let (m, k) = (a[a.len() - 2], a[a.len() - 1]);
            let (kb, n) = match transpose_b {
                false => (b[b.len() - 2], b[b.len() - 1]),
                true => (b[b.len() - 1], b[b.len() - 2]),
            };
            if k != kb {
                return Err(format!("inner sizes of {a:?} and {b:?} differ"));
            }
            let mut shape = broadcast(&a[..a.len() - 2], &b[..b.len() - 2])?;
            shape.extend([m, n]);
            Ok((inputs[0].0, shape))
        }
        Op::Conv {
            stride,
            padding,
            groups,
            bias,
        } => {
            expect(2 + optional(*bias))?;
            same_dtype(inputs)?;
            let (x, w) = (&inputs[0].1, &inputs[1].1);
            let spatial = stride.len();
            if x.len() != spatial + 2 || w.len() != spatial + 2 || padding.len() != spatial {
                return Err(format!(
                    "x {x:?} and weight {w:?} for {spatial} spatial axes"
                ));
            }
            if *groups == 0 || x[1] != w[1] * groups || w[0] % groups != 0 {
                return Err(format!(
                    "channels of x {x:?} and weight {w:?} in {groups} groups"
                ));
            }
            if *bias && inputs[2].1 != [w[0]] {
                return Err(format!("bias {:?} for weight {w:?}", inputs[2].1));
            }
            let mut shape = vec![x[0], w[0]];
            for i in 0..spatial {
                let padded = x[i + 2] + padding[i].0 + padding[i].1;
                shape.push(
                    windows(padded, w[i + 2], stride[i])
                        .ok_or(format!("x {x:?} is smaller than kernel {w:?}"))?,
                );
            }
            Ok((inputs[0].0, shape))
        }
        Op::CausalConv3d {
            stride,
            padding,
            bias,
            cached,
        } => {
            expect(2 + optional(*bias) + optional(*cached))?;
            same_dtype(inputs)?;
            let (x, w) = (&inputs[0].1, &inputs[1].1);
            if x.len() != 5 || w.len() != 5 || x[1] != w[1] {
                return Err(format!("x {x:?} and weight {w:?}"));
            }
            if *bias && inputs[2].1 != [w[0]] {
                return Err(format!("bias {:?} for weight {w:?}", inputs[2].1));
            }
            let expected = [x[0], x[1], w[2] - 1, x[3], x[4]];
            if *cached && inputs[2 + optional(*bias)].1 != expected {
                return Err(format!(
                    "cache {:?}, expected {expected:?}",
                    inputs[2 + optional(*bias)].1
                ));
            }
            let too_small = || format!("x {x:?} is smaller than kernel {w:?}");
            let t = windows(x[2] + w[2] - 1, w[2], stride[0]).ok_or_else(too_small)?;
            let h = windows(x[3] + padding[0].0 + padding[0].1, w[3], stride[1])
                .ok_or_else(too_small)?;
            let wd = windows(x[4] + padding[1].0 + padding[1].1, w[4], stride[2])
                .ok_or_else(too_small)?;
            Ok((inputs[0].0, vec![x[0], w[0], t, h, wd]))
        }
        Op::Attention { mask, .. } => {
            expect(3 + optional(matches!(mask, Mask::KeyLengths | Mask::Bias)))?;
            same_dtype(&inputs[..3])?;
            let (q, k, v) = (&inputs[0].1, &inputs[1].1, &inputs[2].1);
            let fits = q.len() == 4
                && k.len() == 4
                && v.len() == 4
                && k[..3] == v[..3]
                && q[0] == k[0]
                && q[2] == k[2]
                && q[3] == k[3];
            if !fits {
                return Err(format!("q {q:?}, k {k:?}, v {v:?}"));
            }
            match mask {
                Mask::KeyLengths if inputs[3] != (DType::I64, vec![q[0]]) => {
                    return Err(format!("key lengths {:?} for q {q:?}", inputs[3]));
                }
                Mask::Bias => {
                    let scores = [q[0], q[2], q[1], k[1]];
                    if inputs[3].0 != DType::F32 || broadcast(&inputs[3].1, &scores)? != scores {
                        return Err(format!("bias {:?} for scores {scores:?}", inputs[3]));
                    }
                }
                _ => {}
            }
            Ok((inputs[0].0, vec![q[0], q[1], q[2], v[3]]))
        }
        Op::Rope { .. } => {
            expect(3)?;
            let (x, table) = (
                &inputs[0].1,
                (DType::F32, vec![inputs[0].1[1], inputs[0].1[3] / 2]),
            );
            if x.len() != 4 || x[3] % 2 != 0 || inputs[1] != table || inputs[2] != table {
                return Err(format!("x {x:?}, cos {:?}, sin {:?}", inputs[1], inputs[2]));
            }
            Ok(inputs[0].clone())
        }
        Op::LayerNorm { axis, affine, .. } => {
            expect(1 + 2 * optional(*affine))?;
            float(&inputs[0])?;
            let x = &inputs[0].1;
            let size = *x.get(*axis).ok_or(format!("no axis {axis} in {x:?}"))?;
            if *affine && (inputs[1].1 != [size] || inputs[2].1 != [size]) {
                return Err(format!(
                    "weight {:?} and bias {:?} for {x:?}",
                    inputs[1].1, inputs[2].1
                ));
            }
            Ok(inputs[0].clone())
        }
        Op::AdaLayerNorm { .. } => {
            expect(3)?;
            let x = &inputs[0].1;
            let row = match x.as_slice() {
                [b, _, d] => [*b, 1, *d],
                _ => return Err(format!("x {x:?} is not [B, L, D]")),
            };
            if inputs[1].1 != row || inputs[2].1 != row || inputs[1].0 != inputs[2].0 {
                return Err(format!(
                    "shift {:?} and scale {:?} for {x:?}",
                    inputs[1], inputs[2]
                ));
            }
            Ok(inputs[0].clone())
        }
        Op::RmsNorm { .. } => {
            expect(2)?;
            let x = &inputs[0].1;
            if x.last() != inputs[1].1.first() || inputs[1].1.len() != 1 {
                return Err(format!("weight {:?} for {x:?}", inputs[1].1));
            }
            Ok(inputs[0].clone())
        }
        Op::GroupNorm { groups, .. } => {
            expect(3)?;
            let x = &inputs[0].1;
            let c = *x.get(1).ok_or(format!("no channels in {x:?}"))?;
            if *groups == 0 || c % groups != 0 || inputs[1].1 != [c] || inputs[2].1 != [c] {
                return Err(format!(
                    "{groups} groups, weight {:?}, bias {:?} for {x:?}",
                    inputs[1].1, inputs[2].1
                ));
            }
            Ok(inputs[0].clone())
        }
        Op::Softmax => {
            expect(1)?;
            float(&inputs[0])?;
            Ok(inputs[0].clone())
        }
        Op::Reduce { axes, .. } => {
            expect(1)?;
            let (dtype, mut shape) = inputs[0].clone();
            for &axis in axes {
                *shape
                    .get_mut(axis)
                    .ok_or(format!("no axis {axis} in {:?}", inputs[0].1))? = 1;
            }
            Ok((dtype, shape))
        }
        Op::Reshape(shape) => {
            expect(1)?;
            if numel(shape) != numel(&inputs[0].1) {
                return Err(format!("{:?} and {shape:?} differ in size", inputs[0].1));
            }
            Ok((inputs[0].0, shape.clone()))
        }
        Op::Permute(axes) => {
            expect(1)?;
            let x = &inputs[0].1;
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..x.len()) {
                return Err(format!("{axes:?} does not permute {x:?}"));
            }
            Ok((inputs[0].0, axes.iter().map(|&a| x[a]).collect()))
        }
        Op::Slice { axis, start, len } => {
            expect(1)?;
            let (dtype, mut shape) = inputs[0].clone();
            let size = shape.get(*axis).copied().unwrap_or(0);
            if start + len > size {
                return Err(format!(
                    "entries {start}..{} of axis {axis} of {shape:?}",
                    start + len
                ));
            }
            shape[*axis] = *len;
            Ok((dtype, shape))
        }
        Op::Concat { axis } => {
            let Some(((dtype, first), rest)) = inputs.split_first() else {
                return Err("takes at least one input".into());
            };
            let mut shape = first.clone();
            for (d, s) in rest {
                let fits = d == dtype
                    && s.len() == first.len()
                    && *axis < s.len()
                    && s.iter()
                        .zip(first)
                        .enumerate()
                        .all(|(i, (a, b))| i == *axis || a == b);
                if !fits {
                    return Err(format!("cannot join {s:?} to {first:?} along axis {axis}"));
                }
                shape[*axis] += s[*axis];
            }
            Ok((*dtype, shape))
        }
        Op::Expand(shape) => {
            expect(1)?;
            if broadcast(&inputs[0].1, shape)? != *shape {
                return Err(format!("{:?} does not expand to {shape:?}", inputs[0].1));
            }
            Ok((inputs[0].0, shape.clone()))
        }
        Op::Pad {
            axis,
            before,
            after,
        } => {
            expect(1)?;
            let (dtype, mut shape) = inputs[0].clone();
            *shape
                .get_mut(*axis)
                .ok_or(format!("no axis {axis} in {:?}", inputs[0].1))? += before + after;
            Ok((dtype, shape))
        }
        Op::Gather => {
            expect(2)?;
            let ([_, width], DType::I64) = (inputs[0].1.as_slice(), inputs[1].0) else {
                return Err(format!("table {:?}, ids {:?}", inputs[0], inputs[1]));
            };
            let mut shape = inputs[1].1.clone();
            shape.push(*width);
            Ok((inputs[0].0, shape))
        }
        Op::Resize { factors, .. } => {
            expect(1)?;
            let (dtype, mut shape) = inputs[0].clone();
            if shape.len() != factors.len() + 2 || factors.contains(&0) {
                return Err(format!("factors {factors:?} for {shape:?}"));
            }
            shape[2..]
                .iter_mut()
                .zip(factors)
                .for_each(|(s, f)| *s *= f);
            Ok((dtype, shape))
        }
    }
}

/// The shape that two shapes broadcast to, by NumPy's rule.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| {
        if i + s.len() < rank {
            1
        } else {
            s[i + s.len() - rank]
        }
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("{a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

/// Number of windows of `kernel` entries with the given step in `size` entries.
fn windows(size: usize, kernel: usize, stride: usize) -> Option<usize> {
    (kernel > 0 && stride > 0 && size >= kernel).then(|| (size - kernel) / stride + 1)
}

fn float((dtype, _): &Type) -> Result<(), String> {
    if dtype.is_float() {
        Ok(())
    } else {
        Err(format!("operand is {dtype}"))
    }
}

fn same_dtype(inputs: &[Type]) -> Result<(), String> {
    let first = inputs[0].0;
    match inputs.iter().find(|(d, _)| *d != first) {
        Some((other, _)) => Err(format!("operands are {first} and {other}")),
        None => Ok(()),
    }
}
