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
mod movement;
mod norm;
mod product;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::call::{Aclnn, Call};
use super::view::{BaseId, View};
use crate::graph::expand::expand;
use crate::graph::{Binary, Graph, Mask, Node, NodeId, Op, RopePairs};
use crate::tensor::{DType, HostTensor, numel};

/// What a buffer holds.
#[derive(Clone, Debug)]
pub enum Base {
    /// A value of the program, by its bytes.
    Temp(usize),
    /// An input of the program, by its place among the inputs.
    Input(usize),
    /// A weight, by its place among the weights.
    Weight(usize),
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

/// Turns a graph into launches. `prompt_attention` says whether CANN has its operator for inference.
pub fn lower(graph: &Graph, prompt_attention: bool) -> Lowered {
    let mut graph = expand(graph, &is_kept);
    bias::settle(&mut graph);
    let products = products_of_sums(&graph);
    let mut lowering = Lowering {
        bases: vec![],
        launches: vec![],
        values: Vec::with_capacity(graph.nodes.len()),
        gathered: HashMap::new(),
        moved: HashMap::new(),
        tables: HashMap::new(),
        scope: 0,
        prompt_attention,
        graph: &graph,
        fused: products.values().copied().collect(),
        products,
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
        Op::CausalConv3d { .. }
            | Op::Attention {
                mask: Mask::Causal,
                ..
            }
    )
}

/// Products that only a sum of the same shape takes, by the sum: both are one launch.
fn products_of_sums(graph: &Graph) -> HashMap<NodeId, NodeId> {
    let mut uses = vec![0; graph.nodes.len()];
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    let taken = inputs.chain(graph.outputs.iter().map(|port| &port.node));
    taken.for_each(|id| uses[id.index()] += 1);
    let fits = |sum: &Node, id: NodeId| {
        let node = graph.node(id);
        let other = sum.inputs.iter().find(|input| **input != id);
        node.op == Op::Binary(Binary::Mul)
            && uses[id.index()] == 1
            && node.shape == sum.shape
            && other.is_some_and(|other| graph.node(*other).shape == sum.shape)
    };
    let sums = graph.ids().filter_map(|id| {
        let node = graph.node(id);
        let sum = node.op == Op::Binary(Binary::Add);
        let product = node
            .inputs
            .iter()
            .copied()
            .find(|&input| sum && fits(node, input));
        product.map(|product| (id, product))
    });
    sums.collect()
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
    scope: u32,
    prompt_attention: bool,
    /// Products that their sums compute, by the sum.
    products: HashMap<NodeId, NodeId>,
    /// Those products.
    fused: HashSet<NodeId>,
}

impl Lowering<'_> {
    fn value(&mut self, node: &Node, id: NodeId) -> View {
        if self.fused.contains(&id) {
            // Nobody but the sum asks for it.
            return View::whole(BaseId(usize::MAX), node.dtype, &node.shape);
        }
        if let Some(&product) = self.products.get(&id) {
            return self.sum_with_product(node, product);
        }
        let inputs: Vec<View> = node
            .inputs
            .iter()
            .map(|id| self.values[id.index()].clone())
            .collect();
        match &node.op {
            Op::Input => self.input(node),
            Op::Weight(index) => self.leaf(Base::Weight(*index), node),
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
            Op::Attention { scale, mask } => self.attention(&inputs, node, *scale, *mask),
            Op::Rope { pairs } => self.rope(&inputs, *pairs),
            Op::LayerNorm { axis, eps, .. } => self.layer_norm(&inputs, *axis, *eps),
            Op::AdaLayerNorm { eps } => self.ada_layer_norm(&inputs, *eps),
            Op::RmsNorm { eps } => self.rms_norm(&inputs[0], &inputs[1], *eps),
            Op::GroupNorm { groups, eps } => self.group_norm(&inputs, *groups, *eps),
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
            Op::Resize { mode, .. } => self.resize(&inputs[0], *mode, &node.shape),
            Op::CausalConv3d { .. } => unreachable!("expanded before"),
        }
    }

    fn sum_with_product(&mut self, node: &Node, product: NodeId) -> View {
        let other = node.inputs.iter().find(|input| **input != product);
        let other = other.expect("a sum of a product and something else");
        let [a, b] = [0, 1].map(|i| self.graph.node(product).inputs[i]);
        let [x, a, b] = [*other, a, b].map(|id| self.values[id.index()].clone());
        self.add_product(&x, [&a, &b], &node.shape)
    }

    fn input(&mut self, node: &Node) -> View {
        let ports = &self.graph.inputs;
        let here = NodeId(self.values.len() as u32);
        let place = ports.iter().position(|port| port.node == here);
        let place = place.expect("an input node is one of the graph's inputs");
        self.leaf(Base::Input(place), node)
    }

    fn leaf(&mut self, base: Base, node: &Node) -> View {
        let id = BaseId(self.bases.len());
        self.bases.push(base);
        View::whole(id, node.dtype, &node.shape)
    }

    /// A new value.
    fn temp(&mut self, dtype: DType, shape: &[usize]) -> View {
        let id = BaseId(self.bases.len());
        self.bases
            .push(Base::Temp(numel(shape) * dtype.size_bytes()));
        View::whole(id, dtype, shape)
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
