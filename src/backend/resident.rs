//! From a graph's weight declarations to the elements in the files.

use std::borrow::Cow;

use crate::graph::{Graph, ViewStep, WeightDecl};
use crate::tensor::{DType, HostTensor, describe, numel};
use crate::weights::{TensorEntry, Weights};
use crate::{Error, Result};

/// Checks that a component's files have every weight that its graph declares, in its shape.
///
/// # Errors
/// One [`Error::Weights`] that lists all missing and misshapen tensors.
pub fn check_weights(component: &str, graph: &Graph, weights: &Weights) -> Result<()> {
    let mut problems: Vec<String> = vec![];
    for decl in &graph.weights {
        let expected = format!("{:?}", decl.file_shape);
        let problem = match weights.get(&decl.name) {
            None => format!("{}: missing, expected {expected}", decl.name),
            Some(entry) if entry.shape() != decl.file_shape => {
                let file = weights.file_name(entry);
                format!(
                    "{}: expected {expected}, file has {:?} ({file})",
                    decl.name,
                    entry.shape()
                )
            }
            Some(_) => continue,
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::Weights {
            component: component.to_owned(),
            problems,
        }),
    }
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
/// If the file has no such tensor, or it does not have the declared shape, which
/// [`check_weights`] would have told, or its elements are of a type that the engine does not know.
pub fn stored<'a>(decl: &WeightDecl, weights: &'a Weights) -> Result<Stored<'a>> {
    let entry = entry(decl, weights)?;
    let bytes = weights.bytes(entry)?;
    let mut layout = Layout {
        shape: entry.shape().to_vec(),
        strides: entry.strides().to_vec(),
        offset: 0,
    };
    decl.steps.iter().for_each(|step| layout.apply(step));
    let size = entry.dtype().size_bytes();
    let bytes = match layout.is_contiguous() {
        true => Cow::Borrowed(&bytes[layout.offset * size..][..numel(&layout.shape) * size]),
        false => Cow::Owned(layout.gather(bytes, size)),
    };
    Ok(Stored {
        dtype: entry.dtype(),
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

fn entry<'a>(decl: &WeightDecl, weights: &'a Weights) -> Result<&'a TensorEntry> {
    let wrong = |what: String| Error::Weights {
        component: "weights".into(),
        problems: vec![what],
    };
    let entry = weights
        .get(&decl.name)
        .ok_or_else(|| wrong(format!("{}: missing", decl.name)))?;
    if entry.shape() != decl.file_shape {
        let expected = describe(decl.dtype, &decl.file_shape);
        return Err(wrong(format!(
            "{}: expected {expected}, file has {:?}",
            decl.name,
            entry.shape()
        )));
    }
    Ok(entry)
}

/// A strided view, in elements.
struct Layout {
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
}

impl Layout {
    fn apply(&mut self, step: &ViewStep) {
        match step {
            ViewStep::Slice { axis, start, len } => {
                self.offset += start * self.strides[*axis];
                self.shape[*axis] = *len;
            }
            ViewStep::Split { axis, sizes } => {
                let inner =
                    |i: usize| sizes[i + 1..].iter().product::<usize>() * self.strides[*axis];
                let strides: Vec<usize> = (0..sizes.len()).map(inner).collect();
                self.shape.splice(axis..=axis, sizes.iter().copied());
                self.strides.splice(axis..=axis, strides);
            }
            ViewStep::Permute(axes) => {
                self.shape = axes.iter().map(|&a| self.shape[a]).collect();
                self.strides = axes.iter().map(|&a| self.strides[a]).collect();
            }
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(&self.strides)
            .rev()
            .all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }

    /// The viewed elements in row-major order.
    fn gather(&self, bytes: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(numel(&self.shape) * size);
        // Axes behind which the elements lie in order are copied as one piece.
        let mut run = 1;
        let mut outer = self.shape.len();
        while outer > 0 && (self.shape[outer - 1] == 1 || self.strides[outer - 1] == run) {
            run *= self.shape[outer - 1];
            outer -= 1;
        }
        let mut index = vec![0; outer];
        let rows = numel(&self.shape[..outer]);
        for _ in 0..rows {
            let start = self.offset
                + index
                    .iter()
                    .zip(&self.strides)
                    .map(|(i, s)| i * s)
                    .sum::<usize>();
            out.extend_from_slice(&bytes[start * size..][..run * size]);
            for axis in (0..outer).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_reorder_elements_as_a_permuted_copy_would() {
        // [2 heads x 2 sections x 2 halves] rows of 3 entries.
        let bytes: Vec<u8> = (0..24).collect();
        let mut layout = Layout {
            shape: vec![8, 3],
            strides: vec![3, 1],
            offset: 0,
        };
        layout.apply(&ViewStep::Split {
            axis: 0,
            sizes: vec![2, 2, 2],
        });
        layout.apply(&ViewStep::Permute(vec![0, 2, 1, 3]));
        assert!(!layout.is_contiguous());
        let rows: Vec<u8> = layout
            .gather(&bytes, 1)
            .chunks(3)
            .map(|row| row[0] / 3)
            .collect();
        assert_eq!(rows, [0, 2, 1, 3, 4, 6, 5, 7]);
    }

    #[test]
    fn a_slice_of_rows_stays_in_order() {
        let mut layout = Layout {
            shape: vec![6, 2],
            strides: vec![2, 1],
            offset: 0,
        };
        layout.apply(&ViewStep::Slice {
            axis: 0,
            start: 2,
            len: 2,
        });
        assert!(layout.is_contiguous());
        assert_eq!(layout.offset, 4);
    }
}
