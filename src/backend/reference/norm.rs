//! Normalisations, softmax and reductions.

use ndarray::{ArcArray, ArrayD, ArrayViewMut1, Axis, IxDyn};

use crate::graph::Reduce;

type Tensor = ArcArray<f32, IxDyn>;

/// Makes a row's mean 0 and its variance 1, summing in f64.
fn standardise(mut row: ArrayViewMut1<'_, f32>, eps: f32) {
    let n = row.len() as f64;
    let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = row
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>()
        / n;
    let factor = 1.0 / (variance + f64::from(eps)).sqrt();
    row.mapv_inplace(|v| ((f64::from(v) - mean) * factor) as f32);
}

pub(super) fn layer_norm(
    x: &Tensor,
    axis: usize,
    eps: f32,
    affine: Option<(&Tensor, &Tensor)>,
) -> ArrayD<f32> {
    let mut y = x.to_owned();
    y.lanes_mut(Axis(axis))
        .into_iter()
        .for_each(|lane| standardise(lane, eps));
    match affine {
        Some((weight, bias)) => channelwise(y, axis, weight, bias),
        None => y,
    }
}

/// `x * weight + bias` with one weight and bias per entry of an axis.
fn channelwise(x: ArrayD<f32>, axis: usize, weight: &Tensor, bias: &Tensor) -> ArrayD<f32> {
    let mut row = vec![1; x.ndim() - axis];
    row[0] = x.shape()[axis];
    let column = |t: &Tensor| {
        t.to_shape(IxDyn(&row))
            .expect("one entry per channel")
            .to_owned()
    };
    x * column(weight) + column(bias)
}

pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> ArrayD<f32> {
    let mut y = x.to_owned();
    let last = Axis(y.ndim() - 1);
    for mut row in y.lanes_mut(last) {
        let square = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / row.len() as f64;
        let factor = (1.0 / (square + f64::from(eps)).sqrt()) as f32;
        row.mapv_inplace(|v| v * factor);
    }
    y * weight
}

pub(super) fn group_norm(
    x: &Tensor,
    groups: usize,
    eps: f32,
    weight: &Tensor,
    bias: &Tensor,
) -> ArrayD<f32> {
    let shape = IxDyn(x.shape());
    let rows = (x.shape()[0] * groups, x.len() / (x.shape()[0] * groups));
    let mut y = x
        .to_shape(rows)
        .expect("groups divide the channels")
        .to_owned();
    y.rows_mut()
        .into_iter()
        .for_each(|row| standardise(row, eps));
    channelwise(
        y.into_shape_with_order(shape).expect("the size is kept"),
        1,
        weight,
        bias,
    )
}

pub(super) fn softmax(x: &Tensor) -> ArrayD<f32> {
    let mut y = x.to_owned();
    let last = Axis(y.ndim() - 1);
    y.lanes_mut(last).into_iter().for_each(softmax_row);
    y
}

pub(super) fn softmax_row(mut row: ArrayViewMut1<'_, f32>) {
    let largest = row.fold(f32::NEG_INFINITY, |m, &v| m.max(v));
    let mut sum = 0.0f64;
    row.mapv_inplace(|v| {
        let e = (v - largest).exp();
        sum += f64::from(e);
        e
    });
    let factor = (1.0 / sum) as f32;
    row.mapv_inplace(|v| v * factor);
}

pub(super) fn reduce(kind: Reduce, x: &Tensor, axes: &[usize]) -> ArrayD<f32> {
    axes.iter().fold(x.to_owned(), |y, &axis| {
        let lane = |lane: ndarray::ArrayView1<'_, f32>| {
            let sum = || lane.iter().map(|&v| f64::from(v)).sum::<f64>();
            match kind {
                Reduce::Sum => sum() as f32,
                Reduce::Mean => (sum() / lane.len() as f64) as f32,
                Reduce::Max => lane.fold(f32::NEG_INFINITY, |m, &v| m.max(v)),
            }
        };
        y.map_axis(Axis(axis), lane).insert_axis(Axis(axis))
    })
}
