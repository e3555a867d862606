//! Functions of elements, and matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{ArcArray, Array2, ArrayD, ArrayView2, Axis, Dimension, Ix2, IxDyn, s};

use crate::graph::{Binary, Unary, broadcast};

type Tensor = ArcArray<f32, IxDyn>;

pub(super) fn unary(f: Unary, x: &Tensor) -> ArrayD<f32> {
    let mut y = x.to_owned();
    let f = scalar(f);
    y.par_mapv_inplace(f);
    y
}

fn scalar(f: Unary) -> fn(f32) -> f32 {
    match f {
        Unary::Neg => |x| -x,
        Unary::Exp => f32::exp,
        Unary::Sqrt => f32::sqrt,
        Unary::Sin => f32::sin,
        Unary::Cos => f32::cos,
        Unary::Tanh => f32::tanh,
        Unary::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Unary::Silu => |x| x / (1.0 + (-x).exp()),
        Unary::Relu => |x| x.max(0.0),
        Unary::Gelu => |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Unary::GeluTanh => |x| {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        },
    }
}

pub(super) fn binary(f: Binary, a: &Tensor, b: &Tensor) -> ArrayD<f32> {
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    }
}

pub(super) fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> ArrayD<f32> {
    let inner = w.shape()[1];
    let rows = x.len() / inner.max(1);
    let x2 = x
        .to_shape((rows, inner))
        .expect("the verifier checked shapes");
    let w2 = w
        .view()
        .into_dimensionality::<Ix2>()
        .expect("a weight is a matrix");
    let mut shape = x.shape().to_vec();
    *shape.last_mut().expect("x has a last axis") = w.shape()[0];
    let mut y = product(x2.view(), w2.t());
    if let Some(bias) = bias {
        y += &bias
            .view()
            .into_dimensionality::<ndarray::Ix1>()
            .expect("a bias is a vector");
    }
    y.into_shape_with_order(IxDyn(&shape))
        .expect("the verifier checked shapes")
}

/// `a b`, rows in parallel.
pub(super) fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut y = Array2::zeros((a.nrows(), b.ncols()));
    let block = a.nrows().div_ceil(rayon::current_num_threads()).max(64);
    y.axis_chunks_iter_mut(Axis(0), block)
        .into_par_iter()
        .enumerate()
        .for_each(|(i, mut y)| {
            let rows = a.slice(s![i * block..i * block + y.nrows(), ..]);
            general_mat_mul(1.0, &rows, &b, 0.0, &mut y);
        });
    y
}

pub(super) fn matmul(a: &Tensor, b: &Tensor, transpose_b: bool) -> ArrayD<f32> {
    let (ra, rb) = (a.ndim(), b.ndim());
    let batch =
        broadcast(&a.shape()[..ra - 2], &b.shape()[..rb - 2]).expect("the verifier checked shapes");
    let full = |s: &[usize], tail: &[usize]| IxDyn(&[s, tail].concat());
    let a = a
        .broadcast(full(&batch, &a.shape()[ra - 2..]))
        .expect("the verifier checked shapes");
    let b = b
        .broadcast(full(&batch, &b.shape()[rb - 2..]))
        .expect("the verifier checked shapes");
    let rank = batch.len();
    let n = b.shape()[if transpose_b { rank } else { rank + 1 }];
    let mut y = ArrayD::zeros(full(&batch, &[a.shape()[rank], n]));
    for index in ndarray::indices(IxDyn(&batch)) {
        let at = |i: usize| ndarray::SliceInfoElem::Index(index.slice()[i] as isize);
        let whole = ndarray::SliceInfoElem::Slice {
            start: 0,
            end: None,
            step: 1,
        };
        let pick = |axis: usize| if axis < rank { at(axis) } else { whole };
        let place: Vec<_> = (0..rank + 2).map(pick).collect();
        let matrix = |v: ndarray::ArrayViewD<'_, f32>| {
            v.into_dimensionality::<Ix2>()
                .expect("two axes are left")
                .to_owned()
        };
        let (a, b) = (
            matrix(a.slice(place.as_slice())),
            matrix(b.slice(place.as_slice())),
        );
        let b = if transpose_b { b.t() } else { b.view() };
        y.slice_mut(place.as_slice())
            .assign(&product(a.view(), b).into_dyn());
    }
    y
}
