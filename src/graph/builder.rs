//! Building graphs: expressions over [`Value`]s.
//!
//! Model code has no `?`: shapes follow from a validated config, so an operand that does not fit is
//! a mistake in the model and panics with the operation, the operands and the scope.

use std::cell::RefCell;
use std::ops;
use std::sync::Arc;

use super::op::{Binary, Mask, Op, Reduce, ResizeMode, RopePairs, Unary};
use super::params::WeightDecl;
use super::shape::infer;
use super::{Graph, Node, NodeId, Port, Scope, verify};
use crate::tensor::{DType, HostTensor, describe};

/// Collects the nodes of one [`Graph`].
///
/// ```
/// use ascendit::graph::Builder;
/// use ascendit::tensor::DType;
///
/// let g = Builder::new(DType::F32);
/// let x = g.input("x", DType::F32, [2, 3]);
/// let graph = g.finish([("y", x * 2.0 + x)]);
/// assert_eq!(graph.outputs[0].name, "y");
/// ```
pub struct Builder {
    compute: DType,
    state: RefCell<State>,
}

struct State {
    graph: Graph,
    scope: Vec<u32>,
}

/// The result of a node, as an operand of further ones.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    builder: &'g Builder,
    id: NodeId,
}

impl Builder {
    /// An empty graph whose weights and activations are of dtype `compute`.
    pub fn new(compute: DType) -> Self {
        let graph = Graph {
            scopes: vec![Scope::default()],
            ..Graph::default()
        };
        Self {
            compute,
            state: RefCell::new(State {
                graph,
                scope: vec![0],
            }),
        }
    }

    /// The dtype of weights and activations.
    pub fn compute_dtype(&self) -> DType {
        self.compute
    }

    /// A tensor that the caller passes.
    pub fn input(&self, name: &str, dtype: DType, shape: impl Into<Vec<usize>>) -> Value<'_> {
        let value = self.leaf(Op::Input, dtype, shape.into());
        self.state.borrow_mut().graph.inputs.push(Port {
            name: name.to_owned(),
            node: value.id,
        });
        value
    }

    /// A tensor that is known now.
    pub fn constant(&self, tensor: HostTensor) -> Value<'_> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        self.leaf(Op::Constant(Arc::new(tensor)), dtype, shape)
    }

    /// Runs `body` with `name` appended to the scope of the nodes it makes. The outermost scopes
    /// are the graph's segments.
    pub fn scope<T>(&self, name: impl AsRef<str>, body: impl FnOnce() -> T) -> T {
        {
            let mut state = self.state.borrow_mut();
            let parent = *state.scope.last().expect("the root scope stays");
            let next = state.graph.scopes.len() as u32;
            let scope = match (&state.graph.scopes[parent as usize], name.as_ref()) {
                (_, name) if parent == 0 => Scope {
                    path: name.to_owned(),
                    outermost: next,
                },
                (parent, name) => Scope {
                    path: format!("{}.{name}", parent.path),
                    outermost: parent.outermost,
                },
            };
            let known = state.graph.scopes.iter().position(|s| s.path == scope.path);
            let id = known.unwrap_or_else(|| {
                state.graph.scopes.push(scope);
                next as usize
            });
            state.scope.push(id as u32);
        }
        let result = body();
        self.state.borrow_mut().scope.pop();
        result
    }

    /// Several values joined along an axis.
    pub fn concat<'g>(&'g self, values: &[Value<'g>], axis: usize) -> Value<'g> {
        match values {
            [one] => *one,
            _ => self.push(Op::Concat { axis }, values),
        }
    }

    /// The graph, with its outputs named.
    ///
    /// # Panics
    /// If the graph is not well formed, which only the engine's own code can cause.
    pub fn finish<'g>(
        &'g self,
        outputs: impl IntoIterator<Item = (impl Into<String>, Value<'g>)>,
    ) -> Graph {
        let outputs = outputs
            .into_iter()
            .map(|(name, value)| Port {
                name: name.into(),
                node: value.id,
            })
            .collect();
        let mut graph = std::mem::take(&mut self.state.borrow_mut().graph);
        graph.outputs = outputs;
        verify::verify(&graph);
        graph
    }

    /// A builder that goes on with the inputs' declarations of `graph` but none of its nodes, for
    /// passes that rebuild it.
    pub(super) fn rebuilding(graph: &Graph) -> Self {
        let empty = Graph {
            weights: graph.weights.clone(),
            scopes: graph.scopes.clone(),
            ..Graph::default()
        };
        Self {
            compute: DType::F32,
            state: RefCell::new(State {
                graph: empty,
                scope: vec![0],
            }),
        }
    }

    /// A copy of a node of another graph, over operands of this one.
    pub(super) fn copy<'g>(&'g self, node: &Node, inputs: &[Value<'g>]) -> Value<'g> {
        self.state.borrow_mut().scope = vec![node.scope];
        match node.op.is_leaf() {
            true => self.leaf(node.op.clone(), node.dtype, node.shape.clone()),
            false => self.push(node.op.clone(), inputs),
        }
    }

    /// Makes further nodes belong to a scope by its index.
    pub(super) fn enter(&self, scope: u32) {
        self.state.borrow_mut().scope = vec![scope];
    }

    pub(super) fn name_input(&self, name: &str, value: Value<'_>) {
        self.state.borrow_mut().graph.inputs.push(Port {
            name: name.to_owned(),
            node: value.id,
        });
    }

    pub(super) fn weight(&self, decl: WeightDecl) -> Value<'_> {
        let known = self
            .state
            .borrow()
            .graph
            .weights
            .iter()
            .position(|w| *w == decl);
        let (dtype, shape) = (decl.dtype, decl.shape.clone());
        let index = known.unwrap_or_else(|| {
            let weights = &mut self.state.borrow_mut().graph.weights;
            weights.push(decl);
            weights.len() - 1
        });
        self.leaf(Op::Weight(index), dtype, shape)
    }

    fn leaf(&self, op: Op, dtype: DType, shape: Vec<usize>) -> Value<'_> {
        let mut state = self.state.borrow_mut();
        let scope = *state.scope.last().expect("the root scope stays");
        let id = NodeId(state.graph.nodes.len() as u32);
        state.graph.nodes.push(Node {
            op,
            inputs: vec![],
            dtype,
            shape,
            scope,
        });
        Value { builder: self, id }
    }

    fn push<'g>(&'g self, op: Op, inputs: &[Value<'g>]) -> Value<'g> {
        let mut state = self.state.borrow_mut();
        let types: Vec<_> = inputs.iter().map(|v| state.graph.type_of(v.id)).collect();
        let scope = *state.scope.last().expect("the root scope stays");
        let (dtype, shape) = infer(&op, &types).unwrap_or_else(|why| {
            let operands: Vec<_> = types.iter().map(|(d, s)| describe(*d, s)).collect();
            panic!(
                "{}({}) at {}: {why}",
                op.name(),
                operands.join(", "),
                state.graph.scopes[scope as usize].path
            )
        });
        let id = NodeId(state.graph.nodes.len() as u32);
        let inputs = inputs.iter().map(|v| v.id).collect();
        state.graph.nodes.push(Node {
            op,
            inputs,
            dtype,
            shape,
            scope,
        });
        Value { builder: self, id }
    }
}

impl<'g> Value<'g> {
    /// The builder that the value belongs to.
    pub fn builder(self) -> &'g Builder {
        self.builder
    }

    /// The shape.
    pub fn shape(self) -> Vec<usize> {
        self.builder
            .state
            .borrow()
            .graph
            .node(self.id)
            .shape
            .clone()
    }

    /// The size of one axis.
    pub fn dim(self, axis: usize) -> usize {
        self.builder.state.borrow().graph.node(self.id).shape[axis]
    }

    /// The number of axes.
    pub fn rank(self) -> usize {
        self.builder.state.borrow().graph.node(self.id).shape.len()
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        self.builder.state.borrow().graph.node(self.id).dtype
    }

    /// Any operation, with `self` as its first input.
    pub fn apply(self, op: Op, others: &[Value<'g>]) -> Value<'g> {
        let mut inputs = vec![self];
        inputs.extend_from_slice(others);
        self.builder.push(op, &inputs)
    }

    /// A function of each element.
    pub fn unary(self, f: Unary) -> Self {
        self.apply(Op::Unary(f), &[])
    }

    /// `x · sigmoid(x)`.
    pub fn silu(self) -> Self {
        self.unary(Unary::Silu)
    }

    /// `self * mul + add`.
    pub fn affine(self, mul: f32, add: f32) -> Self {
        self.apply(Op::Affine { mul, add }, &[])
    }

    /// Conversion to another dtype; nothing when it is that one already.
    pub fn cast(self, to: DType) -> Self {
        if self.dtype() == to {
            self
        } else {
            self.apply(Op::Cast(to), &[])
        }
    }

    /// `self wᵀ + b` over the last axis.
    pub fn linear(self, weight: Self, bias: Option<Self>) -> Self {
        let mut inputs = vec![weight];
        inputs.extend(bias);
        self.apply(
            Op::Linear {
                bias: bias.is_some(),
            },
            &inputs,
        )
    }

    /// Batched matrix product with `[.., K, N]`.
    pub fn matmul(self, other: Self) -> Self {
        self.apply(Op::MatMul { transpose_b: false }, &[other])
    }

    /// Convolution with zero padding; see [`Op::Conv`].
    pub fn conv(
        self,
        weight: Self,
        bias: Option<Self>,
        stride: &[usize],
        padding: &[(usize, usize)],
    ) -> Self {
        let mut inputs = vec![weight];
        inputs.extend(bias);
        let op = Op::Conv {
            stride: stride.to_vec(),
            padding: padding.to_vec(),
            groups: 1,
            bias: bias.is_some(),
        };
        self.apply(op, &inputs)
    }

    /// Causal convolution; see [`Op::CausalConv3d`].
    pub fn causal_conv3d(
        self,
        weight: Self,
        bias: Option<Self>,
        cache: Option<Self>,
        stride: [usize; 3],
        padding: [(usize, usize); 2],
    ) -> Self {
        let mut inputs = vec![weight];
        inputs.extend(bias);
        inputs.extend(cache);
        let op = Op::CausalConv3d {
            stride,
            padding,
            bias: bias.is_some(),
            cached: cache.is_some(),
        };
        self.apply(op, &inputs)
    }

    /// Attention of `self` (the queries) over `k` and `v`; see [`Op::Attention`].
    pub fn attention(self, k: Self, v: Self, scale: f32, mask: Option<(Mask, Self)>) -> Self {
        let mut inputs = vec![k, v];
        inputs.extend(mask.map(|(_, value)| value));
        self.apply(
            Op::Attention {
                scale,
                mask: mask.map_or(Mask::None, |(kind, _)| kind),
            },
            &inputs,
        )
    }

    /// Rotary position embedding of `[B, L, N, K]` by tables `[L, K/2]`.
    pub fn rope(self, cos: Self, sin: Self, pairs: RopePairs) -> Self {
        self.apply(Op::Rope { pairs }, &[cos, sin])
    }

    /// Normalisation along an axis, with an optional weight and bias.
    pub fn layer_norm(self, axis: usize, eps: f32, affine: Option<(Self, Self)>) -> Self {
        let inputs: Vec<_> = affine.into_iter().flat_map(|(w, b)| [w, b]).collect();
        self.apply(
            Op::LayerNorm {
                axis,
                eps,
                affine: affine.is_some(),
            },
            &inputs,
        )
    }

    /// `layer_norm(self) * (1 + scale) + shift` of `[B, L, D]` by rows `[B, 1, D]`.
    pub fn ada_layer_norm(self, shift: Self, scale: Self, eps: f32) -> Self {
        self.apply(Op::AdaLayerNorm { eps }, &[shift, scale])
    }

    /// Division by the root mean square of the last axis, times a weight.
    pub fn rms_norm(self, weight: Self, eps: f32) -> Self {
        self.apply(Op::RmsNorm { eps }, &[weight])
    }

    /// Normalisation per group of channels.
    pub fn group_norm(self, groups: usize, eps: f32, weight: Self, bias: Self) -> Self {
        self.apply(Op::GroupNorm { groups, eps }, &[weight, bias])
    }

    /// Softmax over the last axis.
    pub fn softmax(self) -> Self {
        self.apply(Op::Softmax, &[])
    }

    /// A reduction that keeps the reduced axes.
    pub fn reduce(self, kind: Reduce, axes: &[usize]) -> Self {
        self.apply(
            Op::Reduce {
                kind,
                axes: axes.to_vec(),
            },
            &[],
        )
    }

    /// The same elements under another shape; nothing when it is that one already.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        if self.shape() == shape {
            self
        } else {
            self.apply(Op::Reshape(shape), &[])
        }
    }

    /// Axes reordered; nothing when the order is kept.
    pub fn permute(self, axes: impl Into<Vec<usize>>) -> Self {
        let axes = axes.into();
        let kept = axes.iter().copied().eq(0..self.rank());
        if kept {
            self
        } else {
            self.apply(Op::Permute(axes), &[])
        }
    }

    /// `len` entries of an axis from `start`; nothing when that is all of it.
    pub fn slice(self, axis: usize, start: usize, len: usize) -> Self {
        let whole = start == 0 && len == self.dim(axis);
        if whole {
            self
        } else {
            self.apply(Op::Slice { axis, start, len }, &[])
        }
    }

    /// `N` equal parts of an axis.
    ///
    /// # Panics
    /// If the axis is not a multiple of `N`.
    pub fn chunk<const N: usize>(self, axis: usize) -> [Self; N] {
        let size = self.dim(axis);
        assert_eq!(
            size % N,
            0,
            "axis {axis} of {:?} in {N} parts",
            self.shape()
        );
        std::array::from_fn(|i| self.slice(axis, i * (size / N), size / N))
    }

    /// Axes of size 1 repeated; nothing when the shape is that one already.
    pub fn expand(self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        if self.shape() == shape {
            self
        } else {
            self.apply(Op::Expand(shape), &[])
        }
    }

    /// Zeros before and after along an axis; nothing when there are none to add.
    pub fn pad(self, axis: usize, before: usize, after: usize) -> Self {
        if before + after == 0 {
            self
        } else {
            self.apply(
                Op::Pad {
                    axis,
                    before,
                    after,
                },
                &[],
            )
        }
    }

    /// Rows of `self` (a table `[V, D]`) by ids.
    pub fn gather(self, ids: Self) -> Self {
        self.apply(Op::Gather, &[ids])
    }

    /// Enlargement of the spatial axes of `[B, C, S..]`.
    pub fn resize(self, mode: ResizeMode, factors: &[usize]) -> Self {
        self.apply(
            Op::Resize {
                mode,
                factors: factors.to_vec(),
            },
            &[],
        )
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "%{} : {}",
            self.id.0,
            describe(self.dtype(), &self.shape())
        )
    }
}

impl<'g> ops::Add for Value<'g> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.apply(Op::Binary(Binary::Add), &[other])
    }
}

impl<'g> ops::Sub for Value<'g> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.apply(Op::Binary(Binary::Sub), &[other])
    }
}

impl<'g> ops::Mul for Value<'g> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.apply(Op::Binary(Binary::Mul), &[other])
    }
}

impl<'g> ops::Div for Value<'g> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        self.apply(Op::Binary(Binary::Div), &[other])
    }
}

impl ops::Mul<f32> for Value<'_> {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        self.affine(factor, 0.0)
    }
}

impl ops::Add<f32> for Value<'_> {
    type Output = Self;
    fn add(self, summand: f32) -> Self {
        self.affine(1.0, summand)
    }
}
