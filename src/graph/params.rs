//! The weight cursor: a model walks the checkpoint's name tree and states each weight's shape.
//!
//! A graph only *declares* weights; whether the file has them, in these shapes, is checked once for
//! the whole component when they are loaded, so that all problems come in one error.

use std::rc::Rc;

use super::{Builder, Value};
use crate::tensor::{DType, numel};

/// A weight as a graph needs it: a view of a tensor in the checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDecl {
    /// The tensor's name in the checkpoint.
    pub name: String,
    /// The shape that the tensor must have there.
    pub file_shape: Vec<usize>,
    /// Applied to the tensor in order.
    pub steps: Vec<ViewStep>,
    /// The shape of the result, which holds the viewed elements in row-major order.
    pub shape: Vec<usize>,
    /// The dtype that the graph computes with; converted on loading if the file has another.
    pub dtype: DType,
}

impl WeightDecl {
    /// Bytes of the weight in the graph's dtype.
    pub fn size_bytes(&self) -> usize {
        numel(&self.shape) * self.dtype.size_bytes()
    }
}

/// One step from a stored tensor to a weight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ViewStep {
    /// Entries of one axis.
    Slice {
        /// The axis.
        axis: usize,
        /// First entry.
        start: usize,
        /// Number of entries.
        len: usize,
    },
    /// One axis seen as several.
    Split {
        /// The axis.
        axis: usize,
        /// Sizes of the axes that it becomes.
        sizes: Vec<usize>,
    },
    /// Axes reordered.
    Permute(Vec<usize>),
}

/// Where a weight lies: a tensor of the checkpoint and the steps from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The tensor's name in the checkpoint.
    pub name: String,
    /// Its shape there.
    pub file_shape: Vec<usize>,
    /// From the tensor to the weight.
    pub steps: Vec<ViewStep>,
}

/// Maps the names that a model uses to those of one publisher's checkpoints.
pub type Names = dyn Fn(&str, &[usize]) -> Located;

/// A place in the checkpoint's name tree.
#[derive(Clone)]
pub struct Params<'g> {
    builder: &'g Builder,
    path: String,
    names: Option<Rc<Names>>,
    dtype: DType,
}

impl<'g> Params<'g> {
    /// The root of a checkpoint whose names are the model's own.
    pub fn new(builder: &'g Builder) -> Self {
        Self {
            builder,
            path: String::new(),
            names: None,
            dtype: builder.compute_dtype(),
        }
    }

    /// The root of a checkpoint with other names.
    pub fn renamed(builder: &'g Builder, names: Rc<Names>) -> Self {
        Self {
            builder,
            path: String::new(),
            names: Some(names),
            dtype: builder.compute_dtype(),
        }
    }

    /// The builder that weights are declared in.
    pub fn builder(&self) -> &'g Builder {
        self.builder
    }

    /// The place `name` below this one: `p.at("attn1").at("to_q")`.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            path,
            ..self.clone()
        }
    }

    /// This place, with weights in f32 whatever the compute dtype is: for modulation, timestep
    /// embeddings and other parts that are computed in f32.
    pub fn in_f32(&self) -> Self {
        Self {
            dtype: DType::F32,
            ..self.clone()
        }
    }

    /// The weight `name` below this place, in the compute dtype or, after [`Params::in_f32`], in f32.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Value<'g> {
        self.weight_viewed(name, shape, &[])
    }

    /// A view of the weight `name`, whose own shape is `shape`; the view's elements are given back
    /// in that same shape.
    pub fn weight_viewed(&self, name: &str, shape: &[usize], steps: &[ViewStep]) -> Value<'g> {
        let full = self.at(name).path;
        let mut located = match &self.names {
            Some(names) => names(&full, shape),
            None => Located {
                name: full,
                file_shape: shape.to_vec(),
                steps: vec![],
            },
        };
        located.steps.extend_from_slice(steps);
        let Located {
            name,
            file_shape,
            steps,
        } = located;
        self.builder.weight(WeightDecl {
            name,
            file_shape,
            steps,
            shape: shape.to_vec(),
            dtype: self.dtype,
        })
    }
}
