//! From a segment's graph to an ONNX model.
//!
//! Every operation is written in the form that ONNX Runtime 1.31 runs fastest on the provider at
//! hand; attention, normalisation and everything with spatial axes have files of their own. Shapes
//! are concrete, so no node computes one. Weights (`w0`, `w1`, ...) are inputs of the model, so that
//! blocks that differ in nothing else run in one session, or constants that come beside it, which
//! ONNX Runtime lays out anew for its kernels; the caller says which.

mod attention;
mod causal;
mod norm;
mod spatial;

use std::collections::HashMap;

use super::Provider;
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};
use crate::graph::expand::expand;
use crate::graph::{Binary, Graph, Node, NodeId, Op, Reduce, Unary};
use crate::tensor::{DType, Data, HostTensor, numel};

/// The newest file format version that ONNX Runtime 1.24 reads.
const IR_VERSION: i64 = 10;
/// The operator set where nothing newer is needed; the last one with `InstanceNormalization` on CUDA.
pub(super) const OPSET: i64 = 21;
/// The operator set with bf16 for every operation and `Attention` for rows of several lengths.
const OPSET_NEW: i64 = 24;

/// A model with the names by which values go in and come out.
pub(super) struct Lowered {
    /// The model.
    pub(super) model: ModelProto,
    /// Names of the segment's inputs, in order.
    pub(super) inputs: Vec<String>,
    /// Names of the weights, in order.
    pub(super) weights: Vec<String>,
    /// Names of its outputs, in order.
    pub(super) outputs: Vec<String>,
}

/// How a weight of a segment comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// In which dtype; another than the declared one only where [`gathered_only`] holds.
    pub(super) dtype: DType,
    /// As a constant of the session and not as an input of each run.
    pub(super) constant: bool,
}

/// The model of a segment whose weights come as `arrivals` say.
pub(super) fn lower(graph: &Graph, provider: Provider, arrivals: &[Arrival]) -> Lowered {
    let opset = opset(graph, provider);
    let no_kernel = opset == OPSET_NEW;
    let graph = expand(graph, &|op| {
        !(no_kernel && matches!(op, Op::GroupNorm { .. }))
    });
    let mut lowering = Lowering::new(&graph, provider, arrivals, opset);
    for id in graph.ids() {
        let name = lowering.value(id);
        lowering.names.push(name);
    }
    lowering.finish()
}

/// The operator set for a segment.
fn opset(graph: &Graph, provider: Provider) -> i64 {
    let grouped = |node: &Node| matches!(node.op, Op::GroupNorm { .. });
    let has = |f: &dyn Fn(&Node) -> bool| graph.nodes.iter().any(f);
    let keeps_group_norm = has(&grouped) && !has(&|node| node.dtype == DType::BF16);
    match provider {
        Provider::Cpu => OPSET,
        Provider::Cuda { .. } if keeps_group_norm => OPSET,
        Provider::Cuda { .. } => OPSET_NEW,
    }
}

/// Whether a weight is used as a table whose rows are picked and as nothing else.
pub(super) fn gathered_only(graph: &Graph, weight: usize) -> bool {
    let is_weight = |id: &NodeId| graph.node(*id).op == Op::Weight(weight);
    graph.nodes.iter().all(|node| match node.op {
        Op::Gather => !is_weight(&node.inputs[1]),
        _ => !node.inputs.iter().any(is_weight),
    })
}

/// A model under construction.
struct Lowering<'g> {
    graph: &'g Graph,
    provider: Provider,
    arrivals: &'g [Arrival],
    opset: i64,
    /// The scope of the node at hand, without the segment's own name.
    scope: String,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    inputs: Vec<(String, NodeId)>,
    weights: Vec<Option<String>>,
    /// The names of the values of the graph's nodes so far.
    names: Vec<String>,
    /// Small constants made by the lowering, by dtype, shape and bytes.
    known: HashMap<(DType, Vec<usize>, Vec<u8>), String>,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, provider: Provider, arrivals: &'g [Arrival], opset: i64) -> Self {
        Self {
            graph,
            provider,
            arrivals,
            opset,
            scope: String::new(),
            nodes: vec![],
            initializers: vec![],
            inputs: vec![],
            weights: vec![None; graph.weights.len()],
            names: Vec::with_capacity(graph.nodes.len()),
            known: HashMap::new(),
        }
    }

    fn on_cpu(&self) -> bool {
        self.provider == Provider::Cpu
    }

    fn finish(mut self) -> Lowered {
        let mut input = vec![];
        // Inputs in the order of the graph's ports, whatever the order of their nodes.
        let inputs: Vec<String> = self
            .graph
            .inputs
            .iter()
            .map(|p| self.names[p.node.index()].clone())
            .collect();
        for (name, id) in &self.inputs {
            let (dtype, shape) = self.graph.type_of(*id);
            input.push(ValueInfoProto::tensor(name, dtype, &shape));
        }
        let mut weights = vec![];
        for (i, decl) in self.graph.weights.iter().enumerate() {
            let name = self.weights[i].take().unwrap_or_else(|| format!("w{i}"));
            let Arrival { dtype, constant } = self.arrivals[i];
            match constant {
                true => {
                    let tensor = TensorProto::external(&name, dtype, &decl.shape);
                    self.initializers.push(tensor);
                }
                false => input.push(ValueInfoProto::tensor(&name, dtype, &decl.shape)),
            }
            weights.push(name);
        }
        let outputs: Vec<String> = self
            .graph
            .outputs
            .iter()
            .map(|p| self.names[p.node.index()].clone())
            .collect();
        let output = self
            .graph
            .outputs
            .iter()
            .zip(&outputs)
            .map(|(port, name)| {
                let (dtype, shape) = self.graph.type_of(port.node);
                ValueInfoProto::tensor(name, dtype, &shape)
            })
            .collect();
        let graph = GraphProto {
            node: self.nodes,
            name: Some("segment".into()),
            initializer: self.initializers,
            input,
            output,
        };
        Lowered {
            model: model(graph, self.opset),
            inputs,
            weights,
            outputs,
        }
    }

    /// Adds what computes a node; the name of its value.
    fn value(&mut self, id: NodeId) -> String {
        let graph = self.graph;
        let node = graph.node(id);
        let scope = &graph.scopes[node.scope as usize];
        let outermost = &graph.scopes[scope.outermost as usize].path;
        self.scope = scope
            .path
            .strip_prefix(outermost.as_str())
            .unwrap_or(&scope.path)
            .trim_start_matches('.')
            .to_owned();
        let inputs: Vec<String> = node
            .inputs
            .iter()
            .map(|i| self.names[i.index()].clone())
            .collect();
        let x = inputs.first().map_or("", String::as_str);
        let rank = node.shape.len();
        match &node.op {
            Op::Input => {
                let name = format!("i{}", self.inputs.len());
                self.inputs.push((name.clone(), id));
                name
            }
            Op::Weight(index) => {
                let name = format!("w{index}");
                self.weights[*index] = Some(name.clone());
                name
            }
            Op::Constant(tensor) => self.constant(tensor),
            Op::Unary(f) => self.unary(*f, x),
            Op::Affine { mul, add } => self.affine(x, node.dtype, *mul, *add),
            Op::Binary(f) => {
                let op = match f {
                    Binary::Add => "Add",
                    Binary::Sub => "Sub",
                    Binary::Mul => "Mul",
                    Binary::Div => "Div",
                };
                self.emit(op, &[x, &inputs[1]], vec![])
            }
            Op::Cast(to) => self.cast(x, *to),
            Op::Linear { bias } => {
                let product = self.product(x, &inputs[1], true);
                match bias {
                    true => self.emit("Add", &[&product, &inputs[2]], vec![]),
                    false => product,
                }
            }
            Op::MatMul { transpose_b } => self.product(x, &inputs[1], *transpose_b),
            Op::Conv {
                stride,
                padding,
                groups,
                bias,
            } => {
                let bias = bias.then(|| inputs[2].as_str());
                let conv = spatial::ConvForm {
                    stride,
                    padding,
                    groups: *groups,
                };
                self.conv(x, &inputs[1], bias, &conv)
            }
            Op::CausalConv3d {
                stride,
                padding,
                bias,
                cached,
            } => {
                let conv = causal::Causal {
                    x: self.shape(node.inputs[0]),
                    w: self.shape(node.inputs[1]),
                    y: node.shape.clone(),
                    stride: *stride,
                    padding: *padding,
                };
                let optional = |there: bool, i: usize| there.then(|| inputs[i].as_str());
                let (bias, cache) = (
                    optional(*bias, 2),
                    optional(*cached, 2 + usize::from(*bias)),
                );
                self.causal_conv3d(&conv, x, &inputs[1], bias, cache)
            }
            Op::Attention { scale, mask } => self.attention(node, &inputs, *scale, *mask),
            Op::Rope { pairs } => self.rope(node, &inputs, *pairs),
            Op::LayerNorm { axis, eps, affine } => {
                let affine = affine.then(|| [inputs[1].as_str(), inputs[2].as_str()]);
                self.layer_norm(node, x, *axis, *eps, affine)
            }
            Op::AdaLayerNorm { eps } => self.ada_layer_norm(node, &inputs, *eps),
            Op::RmsNorm { eps } => self.rms_norm(node, &inputs, *eps),
            Op::GroupNorm { groups, eps } => self.group_norm(node, &inputs, *groups, *eps),
            Op::Softmax => self.emit("Softmax", &[x], vec![AttributeProto::int("axis", -1)]),
            Op::Reduce { kind, axes } => self.reduce(x, node.dtype, *kind, axes),
            Op::Reshape(shape) => self.reshape(x, shape),
            Op::Permute(axes) => self.transpose(x, axes),
            Op::Slice { axis, start, len } => self.slice(x, *axis, *start, *len),
            Op::Concat { axis } => {
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.concat(&inputs, *axis)
            }
            Op::Expand(shape) => self.expand(x, shape),
            Op::Pad {
                axis,
                before,
                after,
            } => {
                let zeros = |n: usize| {
                    let mut shape = node.shape.clone();
                    shape[*axis] = n;
                    (n > 0).then_some(shape)
                };
                let [before, after] = [zeros(*before), zeros(*after)]
                    .map(|shape| shape.map(|s| self.expanded_scalar(node.dtype, 0.0, &s)));
                let parts: Vec<&str> = [before.as_deref(), Some(x), after.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect();
                self.concat(&parts, *axis)
            }
            Op::Gather => {
                let rows = self.emit(
                    "Gather",
                    &[x, &inputs[1]],
                    vec![AttributeProto::int("axis", 0)],
                );
                let stored = match graph.node(node.inputs[0]).op {
                    Op::Weight(index) => self.arrivals[index].dtype,
                    _ => node.dtype,
                };
                match stored == node.dtype {
                    true => rows,
                    false => self.cast(&rows, node.dtype),
                }
            }
            Op::Resize { mode, factors } => {
                debug_assert_eq!(rank, factors.len() + 2);
                self.resize(node, x, &self.shape(node.inputs[0]), *mode, factors)
            }
        }
    }

    fn shape(&self, id: NodeId) -> Vec<usize> {
        self.graph.node(id).shape.clone()
    }

    fn dtype(&self, id: NodeId) -> DType {
        self.graph.node(id).dtype
    }

    fn unary(&mut self, f: Unary, x: &str) -> String {
        let approximation = |name| vec![AttributeProto::string("approximate", name)];
        match f {
            Unary::Neg => self.emit("Neg", &[x], vec![]),
            Unary::Exp => self.emit("Exp", &[x], vec![]),
            Unary::Sqrt => self.emit("Sqrt", &[x], vec![]),
            Unary::Sin => self.emit("Sin", &[x], vec![]),
            Unary::Cos => self.emit("Cos", &[x], vec![]),
            Unary::Tanh => self.emit("Tanh", &[x], vec![]),
            Unary::Sigmoid => self.emit("Sigmoid", &[x], vec![]),
            Unary::Silu => {
                let gate = self.emit("Sigmoid", &[x], vec![]);
                self.emit("Mul", &[x, &gate], vec![])
            }
            Unary::Relu => self.emit("Relu", &[x], vec![]),
            Unary::Gelu => self.emit("Gelu", &[x], approximation("none")),
            Unary::GeluTanh => self.emit("Gelu", &[x], approximation("tanh")),
        }
    }

    fn affine(&mut self, x: &str, dtype: DType, mul: f32, add: f32) -> String {
        let mut value = x.to_owned();
        if mul != 1.0 {
            let factor = self.scalar(dtype, mul);
            value = self.emit("Mul", &[&value, &factor], vec![]);
        }
        if add != 0.0 {
            let summand = self.scalar(dtype, add);
            value = self.emit("Add", &[&value, &summand], vec![]);
        }
        match value == x {
            true => self.emit("Identity", &[x], vec![]),
            false => value,
        }
    }

    fn product(&mut self, a: &str, b: &str, transpose_b: bool) -> String {
        match transpose_b {
            true => self.contrib(
                "FusedMatMul",
                &[a, b],
                vec![AttributeProto::int("transB", 1)],
            ),
            false => self.emit("MatMul", &[a, b], vec![]),
        }
    }

    fn reduce(&mut self, x: &str, dtype: DType, kind: Reduce, axes: &[usize]) -> String {
        let op = match kind {
            Reduce::Mean => "ReduceMean",
            Reduce::Sum => "ReduceSum",
            Reduce::Max => "ReduceMax",
        };
        let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        let axes = self.ints(&axes);
        let attributes = vec![
            AttributeProto::int("keepdims", 1),
            AttributeProto::int("noop_with_empty_axes", 1),
        ];
        // CUDA has no maximum of bf16.
        if kind == Reduce::Max && dtype == DType::BF16 {
            let wide = self.cast(x, DType::F32);
            let reduced = self.emit(op, &[&wide, &axes], attributes);
            return self.cast(&reduced, dtype);
        }
        self.emit(op, &[x, &axes], attributes)
    }

    fn cast(&mut self, x: &str, to: DType) -> String {
        let to = AttributeProto::int("to", i64::from(data_type(to)));
        self.emit("Cast", &[x], vec![to])
    }

    /// `x` as `to`, itself when it is that already.
    fn as_dtype(&mut self, x: &str, from: DType, to: DType) -> String {
        match from == to {
            true => x.to_owned(),
            false => self.cast(x, to),
        }
    }

    fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let dims = self.ints(&dims);
        let attributes = vec![AttributeProto::int("allowzero", 1)];
        self.emit("Reshape", &[x, &dims], attributes)
    }

    fn transpose(&mut self, x: &str, axes: &[usize]) -> String {
        let axes = AttributeProto::ints("perm", axes.iter().copied());
        self.emit("Transpose", &[x], vec![axes])
    }

    fn slice(&mut self, x: &str, axis: usize, start: usize, len: usize) -> String {
        let [start, end, axis] = [start, start + len, axis].map(|v| self.ints(&[v as i64]));
        self.emit("Slice", &[x, &start, &end, &axis], vec![])
    }

    fn concat(&mut self, parts: &[&str], axis: usize) -> String {
        self.emit(
            "Concat",
            parts,
            vec![AttributeProto::int("axis", axis as i64)],
        )
    }

    fn expand(&mut self, x: &str, shape: &[usize]) -> String {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let dims = self.ints(&dims);
        self.emit("Expand", &[x, &dims], vec![])
    }

    /// One number everywhere in a shape, made when the model runs.
    fn expanded_scalar(&mut self, dtype: DType, value: f32, shape: &[usize]) -> String {
        let scalar = self.scalar(dtype, value);
        self.expand(&scalar, shape)
    }

    /// A node of the standard operator set; the name of its result.
    fn emit(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.push("", op, inputs, attributes)
    }

    /// A node of ONNX Runtime's own operator set; the name of its result.
    fn contrib(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.push("com.microsoft", op, inputs, attributes)
    }

    fn push(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        let result = format!("v{}", self.nodes.len());
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![result.clone()],
            name: Some(format!("{}/{op}/{result}", self.scope)),
            op_type: Some(op.to_owned()),
            attribute,
            domain: Some(domain.to_owned()),
        });
        result
    }

    fn constant(&mut self, tensor: &HostTensor) -> String {
        let name = format!("c{}", self.initializers.len());
        self.initializers.push(TensorProto::of(&name, tensor));
        name
    }

    /// A constant that the lowering needs; equal ones are shared.
    fn shared_constant(&mut self, tensor: &HostTensor) -> String {
        let key = (
            tensor.dtype(),
            tensor.shape().to_vec(),
            tensor.as_bytes().to_vec(),
        );
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name = self.constant(tensor);
        self.known.insert(key, name.clone());
        name
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.shared_constant(&HostTensor::i64([values.len()], values.to_vec()))
    }

    fn scalar(&mut self, dtype: DType, value: f32) -> String {
        self.filled(dtype, value, &[])
    }

    /// A constant with one number everywhere.
    fn filled(&mut self, dtype: DType, value: f32, shape: &[usize]) -> String {
        let tensor = HostTensor::new(shape, Data::F32(vec![value; numel(shape)])).cast(dtype);
        self.shared_constant(&tensor)
    }
}

/// A model of one graph.
pub(super) fn model(graph: GraphProto, opset: i64) -> ModelProto {
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("ascendit".into()),
        graph: Some(graph),
        opset_import: vec![import("", opset), import("com.microsoft", 1)],
    }
}

#[cfg(test)]
mod tests;
