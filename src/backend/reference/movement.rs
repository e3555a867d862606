//! Elements moved, and images enlarged.

use ndarray::{ArcArray, ArrayD, Axis, IxDyn, Slice, concatenate};

use crate::graph::{Op, ResizeMode};

type Tensor = ArcArray<f32, IxDyn>;

/// The operations that only move elements.
pub(super) fn move_elements<T: Copy + Default>(
    op: &Op,
    inputs: &[&ArcArray<T, IxDyn>],
) -> ArcArray<T, IxDyn> {
    let x = inputs[0];
    match op {
        Op::Reshape(shape) => {
            let contiguous = x.as_standard_layout().into_owned();
            contiguous
                .into_shape_with_order(IxDyn(shape))
                .expect("the verifier checked sizes")
                .into_shared()
        }
        Op::Permute(axes) => x
            .clone()
            .permuted_axes(IxDyn(axes))
            .as_standard_layout()
            .into_owned()
            .into_shared(),
        Op::Slice { axis, start, len } => x
            .slice_axis(Axis(*axis), Slice::from(*start..start + len))
            .to_owned()
            .into_shared(),
        Op::Concat { axis } => {
            let views: Vec<_> = inputs.iter().map(|t| t.view()).collect();
            concatenate(Axis(*axis), &views)
                .expect("the verifier checked shapes")
                .into_shared()
        }
        Op::Expand(shape) => x
            .broadcast(IxDyn(shape))
            .expect("the verifier checked shapes")
            .to_owned()
            .into_shared(),
        Op::Pad {
            axis,
            before,
            after,
        } => {
            let mut shape = x.shape().to_vec();
            shape[*axis] += before + after;
            let mut y = ArrayD::from_elem(IxDyn(&shape), T::default());
            y.slice_axis_mut(Axis(*axis), Slice::from(*before..before + x.shape()[*axis]))
                .assign(x);
            y.into_shared()
        }
        _ => unreachable!("{} does not only move elements", op.name()),
    }
}

pub(super) fn gather(table: &Tensor, ids: &ArcArray<i64, IxDyn>) -> Result<ArrayD<f32>, String> {
    let rows = table.shape()[0];
    let checked = |&id: &i64| {
        usize::try_from(id)
            .ok()
            .filter(|id| *id < rows)
            .ok_or(format!("id {id} of {rows} rows"))
    };
    let indices = ids.iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    let mut shape = ids.shape().to_vec();
    shape.push(table.shape()[1]);
    Ok(table
        .select(Axis(0), &indices)
        .into_shape_with_order(IxDyn(&shape))
        .expect("one row per id"))
}

/// Enlargement axis by axis: linear interpolation is separable.
pub(super) fn resize(mode: ResizeMode, x: &Tensor, factors: &[usize]) -> ArrayD<f32> {
    factors
        .iter()
        .enumerate()
        .filter(|(_, f)| **f > 1)
        .fold(x.to_owned(), |y, (i, &factor)| {
            let axis = Axis(i + 2);
            let size = y.len_of(axis);
            let mut shape = y.shape().to_vec();
            shape[i + 2] *= factor;
            let mut out = ArrayD::zeros(IxDyn(&shape));
            for (target, mut slab) in out.axis_iter_mut(axis).enumerate() {
                match mode {
                    ResizeMode::Nearest => slab.assign(&y.index_axis(axis, target / factor)),
                    ResizeMode::Linear => {
                        // Centres of pixels lie at halves; before the first and behind the last centre
                        // the edge is held.
                        let source = ((target as f32 + 0.5) / factor as f32 - 0.5).max(0.0);
                        let low = (source as usize).min(size - 1);
                        let (high, weight) = ((low + 1).min(size - 1), source - low as f32);
                        slab.assign(&y.index_axis(axis, low));
                        slab.zip_mut_with(&y.index_axis(axis, high), |a, &b| {
                            *a = *a * (1.0 - weight) + b * weight
                        });
                    }
                }
            }
            out
        })
}
