//! The model under construction: nodes in the notation that the lowering thinks in, and constants.

use super::super::proto::{AttributeProto, NodeProto, TensorProto, data_type};
use super::Lowering;
use crate::tensor::{DType, Data, HostTensor, numel};

impl Lowering<'_> {
    pub(super) fn cast(&mut self, x: &str, to: DType) -> String {
        let to = AttributeProto::int("to", i64::from(data_type(to)));
        self.emit("Cast", &[x], vec![to])
    }

    /// `x` as `to`, itself when it is that already.
    pub(super) fn as_dtype(&mut self, x: &str, from: DType, to: DType) -> String {
        match from == to {
            true => x.to_owned(),
            false => self.cast(x, to),
        }
    }

    pub(super) fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let dims = self.ints(&dims);
        let attributes = vec![AttributeProto::int("allowzero", 1)];
        self.emit("Reshape", &[x, &dims], attributes)
    }

    pub(super) fn transpose(&mut self, x: &str, axes: &[usize]) -> String {
        let axes = AttributeProto::ints("perm", axes.iter().copied());
        self.emit("Transpose", &[x], vec![axes])
    }

    pub(super) fn slice(&mut self, x: &str, axis: usize, start: usize, len: usize) -> String {
        let [start, end, axis] = [start, start + len, axis].map(|v| self.ints(&[v as i64]));
        self.emit("Slice", &[x, &start, &end, &axis], vec![])
    }

    pub(super) fn concat(&mut self, parts: &[&str], axis: usize) -> String {
        self.emit(
            "Concat",
            parts,
            vec![AttributeProto::int("axis", axis as i64)],
        )
    }

    pub(super) fn expand(&mut self, x: &str, shape: &[usize]) -> String {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let dims = self.ints(&dims);
        self.emit("Expand", &[x, &dims], vec![])
    }

    /// One number everywhere in a shape, made when the model runs.
    pub(super) fn expanded_scalar(&mut self, dtype: DType, value: f32, shape: &[usize]) -> String {
        let scalar = self.scalar(dtype, value);
        self.expand(&scalar, shape)
    }

    /// A node of the standard operator set; the name of its result.
    pub(super) fn emit(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.push("", op, inputs, attributes)
    }

    /// A node of ONNX Runtime's own operator set; the name of its result.
    pub(super) fn contrib(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.push("com.microsoft", op, inputs, attributes)
    }

    pub(super) fn push(
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

    pub(super) fn constant(&mut self, tensor: &HostTensor) -> String {
        let name = format!("c{}", self.initializers.len());
        self.initializers.push(TensorProto::of(&name, tensor));
        name
    }

    /// A constant that the lowering needs; equal ones are shared.
    pub(super) fn shared_constant(&mut self, tensor: &HostTensor) -> String {
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

    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        self.shared_constant(&HostTensor::i64([values.len()], values.to_vec()))
    }

    pub(super) fn scalar(&mut self, dtype: DType, value: f32) -> String {
        self.filled(dtype, value, &[])
    }

    /// A constant with one number everywhere.
    pub(super) fn filled(&mut self, dtype: DType, value: f32, shape: &[usize]) -> String {
        let tensor = HostTensor::new(shape, Data::F32(vec![value; numel(shape)])).cast(dtype);
        self.shared_constant(&tensor)
    }
}
