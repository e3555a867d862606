//! Attention and rotary position embedding.

use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{ArcArray, Array4, ArrayD, ArrayView4, Axis, Ix2, Ix4, IxDyn, s};

use super::Value;
use crate::graph::{Mask, RopePairs};

type Tensor = ArcArray<f32, IxDyn>;

/// Queries whose scores are held at once per head.
const QUERY_BLOCK: usize = 512;

/// The mask of an attention with its operand.
pub(super) enum Masking<'a> {
    None,
    KeyLengths(&'a ArcArray<i64, IxDyn>),
    Bias(&'a Tensor),
    Causal,
}

impl<'a> Masking<'a> {
    pub(super) fn new(mask: Mask, operand: Option<&'a Value>) -> Self {
        match (mask, operand) {
            (Mask::KeyLengths, Some(lengths)) => Self::KeyLengths(lengths.i64()),
            (Mask::Bias, Some(bias)) => Self::Bias(bias.f32()),
            (Mask::Causal, _) => Self::Causal,
            _ => Self::None,
        }
    }
}

pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f32,
    mask: &Masking<'_>,
) -> ArrayD<f32> {
    let four = |t: &Tensor| {
        t.clone()
            .into_dimensionality::<Ix4>()
            .expect("the verifier checked ranks")
    };
    let (q, k, v) = (four(q), four(k), four(v));
    let (batch, queries, heads, _) = q.dim();
    let (keys, width) = (k.dim().1, v.dim().3);
    let bias = match mask {
        Masking::Bias(bias) => Some(
            bias.broadcast((batch, heads, queries, keys))
                .expect("the verifier checked shapes"),
        ),
        _ => None,
    };
    // Heads first, so that each head's result is one piece to write to in parallel.
    let mut out = Array4::<f32>::zeros((batch, heads, queries, width));
    out.axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each(|(b, mut out)| {
            out.axis_iter_mut(Axis(0))
                .into_par_iter()
                .enumerate()
                .for_each(|(n, mut out)| {
                    let (q, k, v) = (
                        q.slice(s![b, .., n, ..]),
                        k.slice(s![b, .., n, ..]),
                        v.slice(s![b, .., n, ..]),
                    );
                    for start in (0..queries).step_by(QUERY_BLOCK) {
                        let end = queries.min(start + QUERY_BLOCK);
                        let mut scores = ndarray::Array2::zeros((end - start, keys));
                        general_mat_mul(
                            scale,
                            &q.slice(s![start..end, ..]),
                            &k.t(),
                            0.0,
                            &mut scores,
                        );
                        restrict(&mut scores, mask, bias.as_ref(), [b, n, start]);
                        scores
                            .rows_mut()
                            .into_iter()
                            .for_each(super::norm::softmax_row);
                        general_mat_mul(
                            1.0,
                            &scores,
                            &v,
                            0.0,
                            &mut out.slice_mut(s![start..end, ..]),
                        );
                    }
                });
        });
    out.permuted_axes([0, 2, 1, 3])
        .as_standard_layout()
        .into_owned()
        .into_dyn()
}

/// Applies a mask to the scores of queries from `start` on.
fn restrict(
    scores: &mut ndarray::Array2<f32>,
    mask: &Masking<'_>,
    bias: Option<&ArrayView4<'_, f32>>,
    [b, n, start]: [usize; 3],
) {
    let rows = scores.nrows();
    match mask {
        Masking::None => {}
        Masking::KeyLengths(lengths) => {
            let length = usize::try_from(lengths[[b]])
                .unwrap_or(0)
                .min(scores.ncols());
            scores.slice_mut(s![.., length..]).fill(f32::NEG_INFINITY);
        }
        Masking::Bias(_) => {
            let bias = bias.expect("a bias was broadcast");
            *scores += &bias.slice(s![b, n, start..start + rows, ..]);
        }
        Masking::Causal => {
            for (i, mut row) in scores.rows_mut().into_iter().enumerate() {
                let seen = (start + i + 1).min(row.len());
                row.slice_mut(s![seen..]).fill(f32::NEG_INFINITY);
            }
        }
    }
}

pub(super) fn rope(pairs: RopePairs, x: &Tensor, cos: &Tensor, sin: &Tensor) -> ArrayD<f32> {
    let mut y = x
        .to_owned()
        .into_dimensionality::<Ix4>()
        .expect("the verifier checked ranks");
    let table = |t: &Tensor| {
        t.clone()
            .into_dimensionality::<Ix2>()
            .expect("the verifier checked ranks")
    };
    let (cos, sin) = (table(cos), table(sin));
    let half = y.dim().3 / 2;
    let channels = |i: usize| match pairs {
        RopePairs::Halves => (i, i + half),
        RopePairs::Neighbours => (2 * i, 2 * i + 1),
    };
    y.axis_iter_mut(Axis(1))
        .into_par_iter()
        .enumerate()
        .for_each(|(token, mut rows)| {
            for mut head in rows.rows_mut() {
                for i in 0..half {
                    let (first, second) = channels(i);
                    let (a, b, c, s) =
                        (head[first], head[second], cos[[token, i]], sin[[token, i]]);
                    head[first] = a * c - b * s;
                    head[second] = b * c + a * s;
                }
            }
        });
    y.into_dyn()
}
