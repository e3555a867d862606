//! The op graph that a model builds and a backend compiles.
//!
//! A [`Graph`] is a list of nodes in order of execution (static single assignment); each node is one
//! [`Op`] over earlier nodes and has one result of a concrete shape. Models build it through
//! [`Builder`], [`Value`] and [`Params`]; backends cut it into [`segment::Segment`]s, rewrite what
//! they have no kernel for ([`expand`]) and compile the rest. Nothing here computes.

mod builder;
pub mod cost;
pub mod expand;
pub mod op;
mod params;
pub mod segment;
mod shape;
mod text;
mod verify;

pub use builder::{Builder, Value};
pub use op::{Binary, Mask, Op, Reduce, ResizeMode, RopePairs, Unary};
pub use params::{Located, Names, Params, ViewStep, WeightDecl};
pub use shape::{Type, broadcast, infer};

use crate::tensor::DType;

/// A node's place in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The place as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation with its operands and its result's type.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, all earlier in the list.
    pub inputs: Vec<NodeId>,
    /// Element type of the result.
    pub dtype: DType,
    /// Shape of the result.
    pub shape: Vec<usize>,
    /// The part of the model that the node belongs to, as an index into [`Graph::scopes`].
    pub scope: u32,
}

/// A named input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The name, as callers and messages use it.
    pub name: String,
    /// The node whose value it is.
    pub node: NodeId,
}

/// A whole computation with concrete shapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In order of execution.
    pub nodes: Vec<Node>,
    /// Tensors that the caller passes, in order.
    pub inputs: Vec<Port>,
    /// Tensors that the caller gets, in order.
    pub outputs: Vec<Port>,
    /// Weights that the nodes refer to.
    pub weights: Vec<WeightDecl>,
    /// The parts of the model that nodes belong to.
    pub scopes: Vec<Scope>,
}

/// A part of the model, for messages and for cutting the graph into segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Dotted name: `blocks.3.attn1`.
    pub path: String,
    /// The outermost scope around it (`blocks.3`), as an index into [`Graph::scopes`].
    pub outermost: u32,
}

impl Graph {
    /// The node at a place.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Dtype and shape of a node's value.
    pub fn type_of(&self, id: NodeId) -> Type {
        let node = self.node(id);
        (node.dtype, node.shape.clone())
    }

    /// The dotted name of the part of the model that a node belongs to.
    pub fn scope_of(&self, id: NodeId) -> &str {
        &self.scopes[self.node(id).scope as usize].path
    }

    /// All node places in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }
}
