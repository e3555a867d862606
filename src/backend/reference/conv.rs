//! Convolutions, as products of patches and weights.

use ndarray::parallel::prelude::*;
use ndarray::{ArcArray, Array2, ArrayD, Axis, IxDyn, concatenate, s};

type Tensor = ArcArray<f32, IxDyn>;

/// `x [B, C, S..]` with up to three spatial axes; see [`crate::graph::Op::Conv`].
pub(super) fn conv(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: &[usize],
    padding: &[(usize, usize)],
    groups: usize,
) -> ArrayD<f32> {
    // Missing axes in front have size 1.
    let missing = 3 - stride.len();
    let widen = |shape: &[usize]| {
        let mut wide = shape[..2].to_vec();
        wide.extend(std::iter::repeat_n(1, missing));
        wide.extend(&shape[2..]);
        IxDyn(&wide)
    };
    let wide = |t: &Tensor| {
        let contiguous = t.as_standard_layout().into_owned();
        contiguous
            .into_shape_with_order(widen(t.shape()))
            .expect("the size is kept")
    };
    let stride: Vec<_> = std::iter::repeat_n(1, missing)
        .chain(stride.iter().copied())
        .collect();
    let padding: Vec<_> = std::iter::repeat_n((0, 0), missing)
        .chain(padding.iter().copied())
        .collect();
    let y = conv3(&wide(x), &wide(w), bias, &stride, &padding, groups);
    let mut shape = y.shape().to_vec();
    shape.drain(2..2 + missing);
    y.into_shape_with_order(IxDyn(&shape))
        .expect("the size is kept")
}

fn conv3(
    x: &ArrayD<f32>,
    w: &ArrayD<f32>,
    bias: Option<&Tensor>,
    stride: &[usize],
    padding: &[(usize, usize)],
    groups: usize,
) -> ArrayD<f32> {
    let x = x
        .view()
        .into_dimensionality::<ndarray::Ix5>()
        .expect("five axes");
    let (b, c, t, h, wd) = x.dim();
    let &[o, cg, kt, kh, kw] = w.shape() else {
        unreachable!("a kernel has five axes")
    };
    let out = |size: usize, axis: usize, kernel: usize| {
        (size + padding[axis].0 + padding[axis].1 - kernel) / stride[axis] + 1
    };
    let (ot, oh, ow) = (out(t, 0, kt), out(h, 1, kh), out(wd, 2, kw));
    let w = w
        .to_shape((o, cg * kt * kh * kw))
        .expect("the size is kept");
    let mut y = ndarray::Array5::<f32>::zeros((b, o, ot, oh, ow));
    // One frame of one image at a time: its patches as columns.
    y.axis_iter_mut(Axis(2))
        .into_par_iter()
        .enumerate()
        .for_each(|(to, mut y)| {
            for bi in 0..b {
                for group in 0..groups {
                    let mut columns = Array2::<f32>::zeros((cg * kt * kh * kw, oh * ow));
                    let mut row = 0;
                    for ci in group * cg..(group + 1) * cg {
                        for dt in 0..kt {
                            let source = (to * stride[0] + dt)
                                .checked_sub(padding[0].0)
                                .filter(|&s| s < t);
                            let Some(ti) = source else {
                                row += kh * kw;
                                continue;
                            };
                            let frame = x.slice(s![bi, ci, ti, .., ..]);
                            for (dh, dw) in (0..kh * kw).map(|i| (i / kw, i % kw)) {
                                let mut column = columns.row_mut(row);
                                let column = column.as_slice_mut().expect("rows are contiguous");
                                for ho in 0..oh {
                                    let hi = ho * stride[1] + dh;
                                    let Some(hi) = hi.checked_sub(padding[1].0).filter(|&s| s < h)
                                    else {
                                        continue;
                                    };
                                    for wo in 0..ow {
                                        let wi = wo * stride[2] + dw;
                                        if let Some(wi) =
                                            wi.checked_sub(padding[2].0).filter(|&s| s < wd)
                                        {
                                            column[ho * ow + wo] = frame[[hi, wi]];
                                        }
                                    }
                                }
                                row += 1;
                            }
                        }
                    }
                    let og = o / groups;
                    let product = w.slice(s![group * og..(group + 1) * og, ..]).dot(&columns);
                    let product = product
                        .into_shape_with_order((og, oh, ow))
                        .expect("the size is kept");
                    y.slice_mut(s![bi, group * og..(group + 1) * og, .., ..])
                        .assign(&product);
                }
            }
        });
    debug_assert_eq!(c, cg * groups);
    if let Some(bias) = bias {
        y += &bias.to_shape((o, 1, 1, 1)).expect("one entry per channel");
    }
    y.into_dyn()
}

/// See [`crate::graph::Op::CausalConv3d`].
pub(super) fn causal_conv3d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cache: Option<&Tensor>,
    stride: [usize; 3],
    padding: [(usize, usize); 2],
) -> ArrayD<f32> {
    let front = w.shape()[2] - 1;
    let first = x.slice_axis(Axis(2), ndarray::Slice::from(0..1));
    let mut parts = match cache {
        Some(cache) => vec![cache.view()],
        None => vec![first; front],
    };
    parts.push(x.view());
    let frames = concatenate(Axis(2), &parts)
        .expect("the verifier checked shapes")
        .into_shared();
    conv(
        &frames,
        w,
        bias,
        &stride,
        &[(0, 0), padding[0], padding[1]],
        1,
    )
}
