//! From a graph's weight declarations to the elements in the files.

use std::borrow::Cow;

use crate::graph::{Graph, ViewStep, WeightDecl};
use crate::tensor::{DType, HostTensor};
use crate::weights::Weights;
use crate::{Error, Result};

/// Checks that a component's files have every weight that its graph declares, in its shape, and
/// gives back the names of tensors that nobody asked for and that no pattern of `unused` names.
///
/// # Errors
/// One [`Error::Weights`] that lists all missing and misshapen tensors, and with `strict` the
/// unexpected ones.
pub fn check_weights(
    component: &str,
    graph: &Graph,
    weights: &Weights,
    unused: &[&str],
    strict: bool,
) -> Result<Vec<String>> {
    let mut expected: Vec<(&str, &[usize])> = graph
        .weights
        .iter()
        .map(|w| (w.name.as_str(), w.file_shape.as_slice()))
        .collect();
    // Several views of one tensor are one demand.
    expected.sort_unstable();
    expected.dedup();
    weights.check(component, expected, unused, strict)
}

/// A weight's elements in the dtype of the file, borrowed from the mapped file where they lie there
/// in order.
pub struct Stored<'a> {
    /// Element type in the file.
    pub dtype: DType,
    /// Little-endian elements in row-major order of the weight's shape.
    pub bytes: Cow<'a, [u8]>,
}

/// A weight as it is stored.
///
/// # Errors
/// If the file has no such tensor, or it does not have the declared shape, which [`check_weights`]
/// would have told.
pub fn stored<'a>(decl: &WeightDecl, weights: &'a Weights) -> Result<Stored<'a>> {
    let mut view = weights.view(&decl.name)?;
    for step in &decl.steps {
        view = match step {
            ViewStep::Slice { axis, start, len } => view.slice(*axis, *start, *len)?,
            ViewStep::Split { axis, sizes } => view.split_axis(*axis, sizes)?,
            ViewStep::Permute(axes) => view.permute(axes)?,
        };
    }
    let view = view.reshape(&decl.shape)?;
    let bytes = match view.as_bytes(weights) {
        Some(bytes) => Cow::Borrowed(bytes),
        None => Cow::Owned(view.materialize(weights)?.as_bytes().to_vec()),
    };
    Ok(Stored {
        dtype: view.dtype(),
        bytes,
    })
}

/// A weight in the dtype that the graph declares.
///
/// # Errors
/// Those of [`stored`].
pub fn materialize(decl: &WeightDecl, weights: &Weights) -> Result<HostTensor> {
    let stored = stored(decl, weights)?;
    Ok(HostTensor::from_le_bytes(stored.dtype, decl.shape.clone(), &stored.bytes).cast(decl.dtype))
}

/// Rows of a table `[V, D]` by ids, as `[ids, D]` in the declared dtype; nothing else of the table is
/// read.
///
/// # Errors
/// Those of [`stored`], and if an id is not in the table.
pub fn materialize_rows(decl: &WeightDecl, weights: &Weights, ids: &[i64]) -> Result<HostTensor> {
    let stored = stored(decl, weights)?;
    let (rows, width) = (decl.shape[0], decl.shape[1] * stored.dtype.size_bytes());
    let mut bytes = Vec::with_capacity(ids.len() * width);
    for &id in ids {
        let row = usize::try_from(id).ok().filter(|row| *row < rows).ok_or_else(|| {
            Error::request(format!("id {id} is not in {}, which has {rows} rows; do tokenizer and text encoder belong together?", decl.name))
        })?;
        bytes.extend_from_slice(&stored.bytes[row * width..][..width]);
    }
    Ok(
        HostTensor::from_le_bytes(stored.dtype, [ids.len(), decl.shape[1]], &bytes)
            .cast(decl.dtype),
    )
}
