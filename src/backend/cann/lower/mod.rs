//! From a graph to launches: one short function per operation.
//!
//! Values are views: reshapes, permutations, slices and expansions cost nothing until an operator
//! needs its operand in one piece. aclnn operators copy a strided operand into one piece inside, each
//! time, so the copy is made here, once, where the plan counts it; only products take transposed
//! operands as they are.

mod attention;
mod bias;
mod conv;
mod elementwise;
mod kernels;
mod movement;
mod norm;
mod product;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ascendit_kernels::Chip;

use super::call::{Aclnn, Call};
use super::packing::Packing;
use super::view::{BaseId, View};
use crate::graph::expand::expand;
use crate::graph::{Binary, Graph, Mask, Node, NodeId, Op, RopePairs, Unary};
use crate::tensor::{DType, HostTensor, numel};

/// What a buffer holds.
#[derive(Clone, Debug)]
pub enum Base {
    /// A value of the program, by its bytes.
    Temp(usize),
    /// An input of the program, by its place among the inputs.
    Input(usize),
    /// A weight, by its place among the weights, and how it lies.
    Weight(usize, Packing),
    /// A tensor known when the plan is made.
    Constant(Arc<HostTensor>),
}

/// A launch and where in the model it belongs.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The operator on its operands.
    pub call: Call,
    /// A scope of the graph.
    pub scope: u32,
}

/// A graph as launches.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The graph after expansions, for its scopes, weights, inputs and outputs.
    pub graph: Graph,
    /// The buffers.
    pub bases: Vec<Base>,
    /// In order of execution.
    pub launches: Vec<Launch>,
    /// For each output of the graph, the buffer that is it.
    pub outputs: Vec<BaseId>,
}

/// What launches may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether CANN has its attention operator for inference.
    pub prompt_attention: bool,
    /// The chip whose kernels of our own are there, if they are and are wanted.
    pub kernels: Option<Chip>,
}

impl Target {
    /// All of CANN, and no kernels of our own.
    pub const CANN: Self = Self {
        prompt_attention: true,
        kernels: None,
    };
}

/// Turns a graph into launches.
pub fn lower(graph: &Graph, target: Target) -> Lowered {
    let mut graph = expand(graph, &is_kept);
    bias::settle(&mut graph);
    let fusions = fusions(&graph, target.kernels.is_some());
    let mut lowering = Lowering {
        bases: vec![],
        launches: vec![],
        values: Vec::with_capacity(graph.nodes.len()),
        gathered: HashMap::new(),
        moved: HashMap::new(),
        tables: HashMap::new(),
        narrow: HashMap::new(),
        scope: 0,
        target,
        graph: &graph,
        parts: fusions.values().copied().collect(),
        fusions,
    };
    let is_output = |id| graph.outputs.iter().any(|port| port.node == id);
    let mut copies: HashMap<NodeId, BaseId> = HashMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        lowering.scope = node.scope;
        let value = lowering.value(node, id);
        debug_assert_eq!(value.shape, node.shape, "{}", node.op.name());
        debug_assert_eq!(value.dtype, node.dtype, "{}", node.op.name());
        // What is a copy anyway is made at once: the value need not live until the end.
        let copied = is_output(id) && !lowering.is_whole(&value);
        let kept = copied.then(|| lowering.copied(&value));
        lowering.values.push(value);
        copies.extend(kept.map(|copy| (id, copy.base)));
    }
    let ids = graph.outputs.iter().map(|port| port.node);
    let outputs = ids
        .map(|id| match copies.get(&id) {
            Some(&copy) => copy,
            None => lowering.output(id),
        })
        .collect();
    let Lowering {
        bases,
        mut launches,
        moved,
        ..
    } = lowering;
    for launch in &mut launches {
        let call = &mut launch.call;
        let operands = call.inputs.iter_mut().chain(&mut call.outputs);
        operands.for_each(|view| settle(view, &moved));
    }
    Lowered {
        graph,
        bases,
        launches,
        outputs,
    }
}

/// Puts a view where its value has moved to.
fn settle(view: &mut View, moved: &HashMap<BaseId, (BaseId, usize)>) {
    while let Some(&(base, begin)) = moved.get(&view.base) {
        view.base = base;
        view.offset += begin;
    }
}

/// Operations that have a function here; the others are expanded first.
fn is_kept(op: &Op) -> bool {
    !matches!(
        op,
        Op::Attention {
            mask: Mask::Causal,
            ..
        }
    )
}

/// Values that only one other value is made of and that can be computed together with it; by that other
/// one. With kernels of our own there are more.
fn fusions(graph: &Graph, kernels: bool) -> HashMap<NodeId, NodeId> {
    let mut uses = vec![0; graph.nodes.len()];
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    let taken = inputs.chain(graph.outputs.iter().map(|port| &port.node));
    taken.for_each(|id| uses[id.index()] += 1);
    let fits = |node: &Node, id: NodeId| {
        let part = graph.node(id);
        let other = node.inputs.iter().find(|input| **input != id);
        let even = part.shape == node.shape
            && other.is_some_and(|other| graph.node(*other).shape == node.shape);
        let narrow = kernels && matches!(node.dtype, DType::F16 | DType::BF16);
        uses[id.index()] == 1
            && match (&node.op, &part.op) {
                (Op::Binary(Binary::Add), Op::Binary(Binary::Mul)) => even,
                (Op::Binary(Binary::Add), Op::CausalConv3d { .. }) => even && narrow,
                (Op::Unary(Unary::Silu), Op::GroupNorm { .. } | Op::LayerNorm { .. }) => narrow,
                (Op::Rope { .. }, Op::RmsNorm { .. }) => narrow && node.inputs[0] == id,
                _ => false,
            }
    };
    let fused = graph.ids().filter_map(|id| {
        let node = graph.node(id);
        let part = node.inputs.iter().copied().find(|&input| fits(node, input));
        part.map(|part| (id, part))
    });
    fused.collect()
}

/// Launches under construction.
struct Lowering<'g> {
    graph: &'g Graph,
    bases: Vec<Base>,
    launches: Vec<Launch>,
    values: Vec<View>,
    /// Copies in one piece of views that were not.
    gathered: HashMap<View, View>,
    /// Values that are parts of others, by the buffer that they would have been: whose, and the element
    /// at which they begin there.
    moved: HashMap<BaseId, (BaseId, usize)>,
    /// Tables of rotary embedding for whole heads.
    tables: HashMap<(BaseId, BaseId, DType, RopePairs), [View; 2]>,
    /// Lengths of rows in 32 bits.
    narrow: HashMap<BaseId, View>,
    scope: u32,
    target: Target,
    /// Values that are computed together with the one that is made of them, by the latter.
    fusions: HashMap<NodeId, NodeId>,
    /// Those values.
    parts: HashSet<NodeId>,
}

impl Lowering<'_> {
    fn value(&mut self, node: &Node, id: NodeId) -> View {
        if self.parts.contains(&id) {
            // Nobody but what it is a part of asks for it.
            return View::whole(BaseId(usize::MAX), node.dtype, &node.shape);
        }
        match self.fusions.get(&id) {
            Some(&part) => self.with_part(node, part),
            None => self.alone(node),
        }
    }

    /// A value together with one that nothing else is made of.
    fn with_part(&mut self, node: &Node, id: NodeId) -> View {
        let part = self.graph.node(id);
        let other = node.inputs.iter().find(|input| **input != id);
        let other = other.map(|id| self.values[id.index()].clone());
        let parts = self.values_of(part);
        let fused = match (&node.op, &part.op, other) {
            (Op::Binary(_), Op::Binary(_), Some(other)) => {
                Some(self.add_product(&other, [&parts[0], &parts[1]], &node.shape))
            }
            (Op::Binary(_), Op::CausalConv3d { .. }, Some(other)) => {
                self.causal_conv_kernel(part, Some(&other))
            }
            (Op::Unary(_), norm, _) => self.norm_kernel(norm, &parts, true),
            (Op::Rope { pairs }, Op::RmsNorm { eps }, _) => {
                let tables = [1, 2].map(|i| self.values[node.inputs[i].index()].clone());
                let inputs = [&parts[..1], &tables].concat();
                self.rope_kernel(&inputs, *pairs, Some((&parts[1], *eps)))
            }
            _ => None,
        };
        fused.unwrap_or_else(|| {
            let value = self.alone(part);
            self.values[id.index()] = value;
            self.alone(node)
        })
    }

    fn values_of(&self, node: &Node) -> Vec<View> {
        let inputs = node.inputs.iter();
        inputs.map(|id| self.values[id.index()].clone()).collect()
    }

    /// A value by its operation alone.
    fn alone(&mut self, node: &Node) -> View {
        let inputs = self.values_of(node);
        match &node.op {
            Op::Input => self.input(node),
            Op::Weight(index) => self.leaf(Base::Weight(*index, Packing::Stored), node),
            Op::Constant(tensor) => self.leaf(Base::Constant(Arc::clone(tensor)), node),
            Op::Unary(f) => self.unary(*f, &inputs[0]),
            Op::Affine { mul, add } => self.affine(&inputs[0], *mul, *add),
            Op::Binary(f) => self.binary(*f, &inputs[0], &inputs[1], &node.shape),
            Op::Cast(to) => self.cast(&inputs[0], *to),
            Op::Linear { .. } => self.linear(&inputs[0], &inputs[1], inputs.get(2)),
            Op::MatMul { transpose_b } => self.matmul(&inputs[0], &inputs[1], *transpose_b),
            Op::Conv {
                stride,
                padding,
                groups,
                ..
            } => self.conv(&inputs, stride, padding, *groups, &node.shape),
            Op::CausalConv3d { .. } => self.causal_conv(node, &inputs),
            Op::Attention { scale, mask } => self.attention(&inputs, node, *scale, *mask),
            Op::Rope { pairs } => self.rope(&inputs, *pairs),
            Op::LayerNorm { axis, eps, .. } => self.layer_norm(&node.op, &inputs, *axis, *eps),
            Op::AdaLayerNorm { eps } => self.ada_layer_norm(&inputs, *eps),
            Op::RmsNorm { eps } => self.rms_norm(&inputs[0], &inputs[1], *eps),
            Op::GroupNorm { groups, eps } => self.group_norm(&node.op, &inputs, *groups, *eps),
            Op::Softmax => self.softmax(&inputs[0]),
            Op::Reduce { kind, axes } => self.reduce(&inputs[0], *kind, axes),
            Op::Reshape(shape) => self.reshape(&inputs[0], shape),
            Op::Permute(axes) => inputs[0].permute(axes),
            Op::Slice { axis, start, len } => inputs[0].slice(*axis, *start, *len),
            Op::Concat { axis } => self.concat(&inputs, *axis, &node.shape),
            Op::Expand(shape) => inputs[0].expand(shape),
            Op::Pad {
                axis,
                before,
                after,
            } => self.pad(&inputs[0], *axis, *before, *after),
            Op::Gather => self.gather(&inputs[0], &inputs[1], &node.shape),
            Op::Resize { mode, factors } => self.resize(&inputs[0], *mode, factors, &node.shape),
        }
    }

    fn input(&mut self, node: &Node) -> View {
        let ports = &self.graph.inputs;
        let here = NodeId(self.values.len() as u32);
        let place = ports.iter().position(|port| port.node == here);
        let place = place.expect("an input node is one of the graph's inputs");
        self.leaf(Base::Input(place), node)
    }

    fn leaf(&mut self, base: Base, node: &Node) -> View {
        self.base(base, node.dtype, &node.shape)
    }

    /// A new buffer.
    fn base(&mut self, base: Base, dtype: DType, shape: &[usize]) -> View {
        let id = BaseId(self.bases.len());
        self.bases.push(base);
        View::whole(id, dtype, shape)
    }

    /// A new value.
    fn temp(&mut self, dtype: DType, shape: &[usize]) -> View {
        let bytes = numel(shape) * dtype.size_bytes();
        self.base(Base::Temp(bytes), dtype, shape)
    }

    /// A new value whose elements lie in the order in which those of a dense view lie.
    fn temp_like(&mut self, like: &View, dtype: DType) -> View {
        let Some(order) = like.dense_order() else {
            return self.temp(dtype, &like.shape);
        };
        let shape: Vec<usize> = order.iter().map(|&axis| like.shape[axis]).collect();
        self.temp(dtype, &shape).permute(&inverse(&order))
    }

    fn launch(&mut self, op: Aclnn, inputs: Vec<View>, outputs: Vec<View>) {
        self.launches.push(Launch {
            call: Call {
                op,
                inputs,
                outputs,
            },
            scope: self.scope,
        });
    }

    /// Launches an operator with one new result.
    fn emit(&mut self, op: Aclnn, inputs: Vec<View>, dtype: DType, shape: &[usize]) -> View {
        let out = self.temp(dtype, shape);
        self.launch(op, inputs, vec![out.clone()]);
        out
    }

    /// The same elements in one piece: the view itself or a copy, which others can use as well.
    fn contiguous(&mut self, view: &View) -> View {
        if view.is_contiguous() {
            return view.clone();
        }
        if let Some(known) = self.gathered.get(view) {
            return known.clone();
        }
        let out = self.copied(view);
        self.gathered.insert(view.clone(), out.clone());
        out
    }

    /// A copy in a buffer of its own.
    fn copied(&mut self, view: &View) -> View {
        let out = self.temp(view.dtype, &view.shape);
        self.copy(view, &out);
        out
    }

    /// Copies to a place in one piece. What lies densely in another order is permuted, as CANN would
    /// bring it into one piece before it copies it.
    fn copy(&mut self, view: &View, out: &View) {
        let (op, view) = match view.dense_order() {
            // `order` turns the view into the buffer's order, so its inverse is the permutation.
            Some(order) if !view.is_contiguous() => {
                (Aclnn::Permute(inverse(&order)), view.permute(&order))
            }
            _ => (Aclnn::Copy, view.clone()),
        };
        self.launch(op, vec![view], vec![out.clone()]);
    }

    /// Whether a value is a buffer of its own, which it may leave for a place in another one.
    fn is_movable(&self, view: &View) -> bool {
        let whole = match self.bases[view.base.0] {
            Base::Temp(bytes) => view.offset == 0 && view.size_bytes() == bytes,
            _ => false,
        };
        whole && view.dense_order().is_some() && !self.moved.contains_key(&view.base)
    }

    /// Whether a value is a buffer of its own, in row-major order.
    fn is_whole(&self, view: &View) -> bool {
        self.is_movable(view) && view.is_contiguous()
    }

    /// The buffer that becomes an output: that of the value if the value is all of it, or a copy's.
    fn output(&mut self, id: NodeId) -> BaseId {
        let view = self.values[id.index()].clone();
        self.scope = self.graph.node(id).scope;
        match self.is_whole(&view) {
            true => view.base,
            false => self.copied(&view).base,
        }
    }
}

/// The permutation that undoes one.
fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (i, &axis) in axes.iter().enumerate() {
        inverse[axis] = i;
    }
    inverse
}
