//! The definition of every operation, on the host, in f32.
//!
//! Other backends are tested against this one, so it is written to be obviously right; it uses all
//! cores where that costs no clarity. Weights are converted from the mapped files when a node needs
//! them and dropped after it, so that memory holds activations only.

mod attention;
mod conv;
mod elementwise;
mod movement;
mod norm;

use std::sync::Arc;

use ndarray::{ArcArray, ArrayD, IxDyn};

use super::{
    Backend, Device, DeviceInfo, DeviceTensor, DeviceWeights, Program, Watch, materialize,
    materialize_rows, unsupported_dtype,
};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::tensor::{DType, Data, HostTensor};
use crate::weights::Weights;
use crate::{Error, Result};

/// Runs graphs by a match over operations.
pub struct Reference {
    info: DeviceInfo,
}

impl Reference {
    /// The backend, which is always there.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let description = format!("reference implementation, {threads} threads");
        Self {
            info: DeviceInfo {
                device: Device::REFERENCE,
                description,
                memory_bytes: None,
                peak: None,
            },
        }
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Reference {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compute_dtype(&self, wish: Option<DType>) -> Result<DType> {
        match wish {
            None | Some(DType::F32) => Ok(DType::F32),
            Some(wish) => Err(unsupported_dtype("reference", wish, &[DType::F32])),
        }
    }

    fn load(&self, weights: Arc<Weights>) -> Result<DeviceWeights> {
        Ok(DeviceWeights(weights))
    }

    fn compile(&self, graph: &Graph, weights: &DeviceWeights) -> Result<Box<dyn Program>> {
        let weights = weights
            .0
            .clone()
            .downcast()
            .expect("weights were loaded by this backend");
        Ok(Box::new(Interpreter {
            graph: graph.clone(),
            weights,
            last_use: last_uses(graph),
        }))
    }

    fn upload(&self, tensor: &HostTensor) -> Result<DeviceTensor> {
        Ok(device_tensor(Value::from_host(tensor)))
    }

    fn download(&self, tensor: &DeviceTensor) -> Result<HostTensor> {
        Ok(value(tensor).to_host())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

/// A tensor as the interpreter holds it.
#[derive(Clone)]
enum Value {
    F32(ArcArray<f32, IxDyn>),
    I64(ArcArray<i64, IxDyn>),
}

impl Value {
    fn from_host(tensor: &HostTensor) -> Self {
        let shape = IxDyn(tensor.shape());
        match tensor.data() {
            Data::I64(v) => Self::I64(
                ArcArray::from_shape_vec(shape, v.clone()).expect("a host tensor fits its shape"),
            ),
            _ => {
                let Data::F32(v) = tensor.cast(DType::F32).into_data() else {
                    unreachable!("cast to f32")
                };
                Self::F32(ArcArray::from_shape_vec(shape, v).expect("a host tensor fits its shape"))
            }
        }
    }

    fn to_host(&self) -> HostTensor {
        match self {
            Self::F32(a) => HostTensor::f32(a.shape(), a.iter().copied().collect()),
            Self::I64(a) => HostTensor::i64(a.shape(), a.iter().copied().collect()),
        }
    }

    fn f32(&self) -> &ArcArray<f32, IxDyn> {
        match self {
            Self::F32(a) => a,
            Self::I64(_) => unreachable!("the verifier checked dtypes"),
        }
    }

    fn i64(&self) -> &ArcArray<i64, IxDyn> {
        match self {
            Self::I64(a) => a,
            Self::F32(_) => unreachable!("the verifier checked dtypes"),
        }
    }
}

fn value(tensor: &DeviceTensor) -> &Value {
    tensor
        .data
        .downcast_ref()
        .expect("the tensor belongs to this backend")
}

fn device_tensor(value: Value) -> DeviceTensor {
    let (dtype, shape) = match &value {
        Value::F32(a) => (DType::F32, a.shape().to_vec()),
        Value::I64(a) => (DType::I64, a.shape().to_vec()),
    };
    DeviceTensor::new(dtype, shape, Arc::new(value))
}

struct Interpreter {
    graph: Graph,
    weights: Arc<Weights>,
    last_use: Vec<usize>,
}

/// The last node that reads each node's value; outputs are read after all nodes.
fn last_uses(graph: &Graph) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|input| last[input.index()] = i);
    }
    graph
        .outputs
        .iter()
        .for_each(|port| last[port.node.index()] = graph.nodes.len());
    last
}

impl Program for Interpreter {
    fn run(&mut self, inputs: Vec<DeviceTensor>, watch: &Watch<'_>) -> Result<Vec<DeviceTensor>> {
        let graph = &self.graph;
        assert_eq!(inputs.len(), graph.inputs.len(), "number of inputs");
        let mut values: Vec<Option<Value>> = vec![None; graph.nodes.len()];
        for (port, tensor) in graph.inputs.iter().zip(&inputs) {
            assert_eq!(
                tensor.shape(),
                graph.node(port.node).shape,
                "shape of input {}",
                port.name
            );
            values[port.node.index()] = Some(value(tensor).clone());
        }
        drop(inputs);
        let segment = |i: usize| graph.scopes[graph.nodes[i].scope as usize].outermost;
        let work: Vec<usize> = (0..graph.nodes.len())
            .filter(|&i| !graph.nodes[i].op.is_leaf())
            .collect();
        let ends: Vec<bool> = work
            .iter()
            .enumerate()
            .map(|(k, &i)| {
                work.get(k + 1)
                    .is_none_or(|&next| segment(next) != segment(i))
            })
            .collect();
        let total = ends.iter().filter(|end| **end).count();
        let mut done = 0;
        for (&i, &end) in work.iter().zip(&ends) {
            watch.cancel.check()?;
            let result = self.evaluate(NodeId(i as u32), &values)?;
            values[i] = Some(result);
            for input in &graph.nodes[i].inputs {
                if self.last_use[input.index()] == i {
                    values[input.index()] = None;
                }
            }
            if end {
                done += 1;
                (watch.on_segment)(done, total);
            }
        }
        let output = |port: &crate::graph::Port| match &values[port.node.index()] {
            Some(value) => Ok(device_tensor(value.clone())),
            None => Ok(device_tensor(self.leaf(graph.node(port.node))?)),
        };
        graph.outputs.iter().map(output).collect()
    }
}

impl Interpreter {
    fn leaf(&self, node: &Node) -> Result<Value> {
        match &node.op {
            Op::Weight(index) => Ok(Value::from_host(&materialize(
                &self.graph.weights[*index],
                &self.weights,
            )?)),
            Op::Constant(tensor) => Ok(Value::from_host(tensor)),
            _ => unreachable!("values of other nodes are there when they are needed"),
        }
    }

    fn evaluate(&self, id: NodeId, values: &[Option<Value>]) -> Result<Value> {
        let node = self.graph.node(id);
        if let (Op::Gather, Op::Weight(table)) = (&node.op, &self.graph.node(node.inputs[0]).op) {
            let ids = self.operand(node.inputs[1], values)?;
            let rows = materialize_rows(
                &self.graph.weights[*table],
                &self.weights,
                &ids.to_host().into_i64(),
            )
            .map_err(|why| self.failed(id, why))?;
            return Ok(Value::from_host(&rows.reshaped(node.shape.clone())));
        }
        let operands: Vec<Value> = node
            .inputs
            .iter()
            .map(|&input| self.operand(input, values))
            .collect::<Result<_>>()?;
        let x = |i: usize| operands[i].f32();
        let optional = |present: bool, i: usize| present.then(|| x(i));
        let result: ArrayD<f32> = match &node.op {
            Op::Input | Op::Weight(_) | Op::Constant(_) => unreachable!("leaves are not evaluated"),
            Op::Unary(f) => elementwise::unary(*f, x(0)),
            Op::Affine { mul, add } => x(0).mapv(|v| v * mul + add),
            Op::Binary(f) => elementwise::binary(*f, x(0), x(1)),
            Op::Cast(to) => return self.cast(id, *to, &operands[0]),
            Op::Linear { bias } => elementwise::linear(x(0), x(1), optional(*bias, 2)),
            Op::MatMul { transpose_b } => elementwise::matmul(x(0), x(1), *transpose_b),
            Op::Conv {
                stride,
                padding,
                groups,
                bias,
            } => conv::conv(x(0), x(1), optional(*bias, 2), stride, padding, *groups),
            Op::CausalConv3d {
                stride,
                padding,
                bias,
                cached,
            } => {
                let cache = optional(*cached, 2 + usize::from(*bias));
                conv::causal_conv3d(x(0), x(1), optional(*bias, 2), cache, *stride, *padding)
            }
            Op::Attention { scale, mask } => {
                let mask = attention::Masking::new(*mask, operands.get(3));
                attention::attention(x(0), x(1), x(2), *scale, &mask)
            }
            Op::Rope { pairs } => attention::rope(*pairs, x(0), x(1), x(2)),
            Op::LayerNorm { axis, eps, affine } => {
                norm::layer_norm(x(0), *axis, *eps, affine.then(|| (x(1), x(2))))
            }
            Op::AdaLayerNorm { eps } => {
                let normed = norm::layer_norm(x(0), 2, *eps, None);
                normed * (x(2) + 1.0) + x(1)
            }
            Op::RmsNorm { eps } => norm::rms_norm(x(0), x(1), *eps),
            Op::GroupNorm { groups, eps } => norm::group_norm(x(0), *groups, *eps, x(1), x(2)),
            Op::Softmax => norm::softmax(x(0)),
            Op::Reduce { kind, axes } => norm::reduce(*kind, x(0), axes),
            Op::Resize { mode, factors } => movement::resize(*mode, x(0), factors),
            Op::Gather => {
                movement::gather(x(0), operands[1].i64()).map_err(|why| self.failed(id, why))?
            }
            Op::Reshape(_)
            | Op::Permute(_)
            | Op::Slice { .. }
            | Op::Concat { .. }
            | Op::Expand(_)
            | Op::Pad { .. } => {
                return Ok(match &operands[0] {
                    Value::F32(_) => {
                        let inputs: Vec<_> = operands.iter().map(Value::f32).collect();
                        Value::F32(movement::move_elements(&node.op, &inputs))
                    }
                    Value::I64(_) => {
                        let inputs: Vec<_> = operands.iter().map(Value::i64).collect();
                        Value::I64(movement::move_elements(&node.op, &inputs))
                    }
                });
            }
        };
        Ok(Value::F32(result.into_shared()))
    }

    fn operand(&self, id: NodeId, values: &[Option<Value>]) -> Result<Value> {
        match &values[id.index()] {
            Some(value) => Ok(value.clone()),
            None => self.leaf(self.graph.node(id)),
        }
    }

    fn cast(&self, id: NodeId, to: DType, x: &Value) -> Result<Value> {
        match (to, x) {
            (DType::F32, Value::I64(a)) => Ok(Value::F32(a.mapv(|v| v as f32).into_shared())),
            (DType::I64, Value::F32(a)) => Ok(Value::I64(a.mapv(|v| v as i64).into_shared())),
            (DType::F32, _) | (DType::I64, _) => Ok(x.clone()),
            _ => Err(self.failed(id, format!("cannot cast to {to}"))),
        }
    }

    fn failed(&self, id: NodeId, why: impl std::fmt::Display) -> Error {
        let node = self.graph.node(id);
        Error::Device {
            device: "reference".into(),
            what: format!(
                "{} at {} failed: {why}",
                node.op.name(),
                self.graph.scope_of(id)
            ),
        }
    }
}
