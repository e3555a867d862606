//! The parts of the ONNX file format that the lowering writes (`onnx.proto` of the ONNX project,
//! IR version 10). Field numbers are the format; everything that is not written is left out.

use crate::tensor::{DType, HostTensor};

/// A graph with the versions of the operator sets that it uses.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ModelProto {
    #[prost(int64, optional, tag = "1")]
    pub(super) ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) producer_name: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<OperatorSetIdProto>,
}

/// A version of an operator set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OperatorSetIdProto {
    #[prost(string, optional, tag = "1")]
    pub(super) domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(super) version: Option<i64>,
}

/// Nodes in order of execution, with what goes in, what comes out and what is known.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeProto>,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfoProto>,
}

/// One operation. An empty input name is an optional input left out.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeProto>,
    #[prost(string, optional, tag = "7")]
    pub(super) domain: Option<String>,
}

/// A named setting of an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttributeProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    s: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, optional, tag = "20")]
    kind: Option<i32>,
}

impl AttributeProto {
    fn new(name: &str, kind: i32) -> Self {
        Self {
            name: Some(name.to_owned()),
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// A real number.
    pub(super) fn float(name: &str, value: f32) -> Self {
        Self {
            f: Some(value),
            ..Self::new(name, 1)
        }
    }

    /// A whole number.
    pub(super) fn int(name: &str, value: i64) -> Self {
        Self {
            i: Some(value),
            ..Self::new(name, 2)
        }
    }

    /// A word.
    pub(super) fn string(name: &str, value: &str) -> Self {
        Self {
            s: Some(value.as_bytes().to_vec()),
            ..Self::new(name, 3)
        }
    }

    /// Whole numbers.
    pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> Self {
        Self {
            ints: values.into_iter().map(|v| v as i64).collect(),
            ..Self::new(name, 7)
        }
    }
}

/// A tensor that is part of the model.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    data_type: Option<i32>,
    #[prost(string, optional, tag = "8")]
    name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    raw_data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
    #[prost(int32, optional, tag = "14")]
    data_location: Option<i32>,
}

impl TensorProto {
    /// A tensor whose elements come beside the model.
    pub(super) fn external(name: &str, dtype: DType, shape: &[usize]) -> Self {
        Self {
            external_data: vec![StringStringEntryProto {
                key: Some("location".into()),
                value: Some(name.to_owned()),
            }],
            data_location: Some(1),
            ..Self::new(name, dtype, shape)
        }
    }

    /// A tensor with its elements.
    pub(super) fn of(name: &str, tensor: &HostTensor) -> Self {
        Self {
            raw_data: Some(tensor.as_bytes().to_vec()),
            ..Self::new(name, tensor.dtype(), tensor.shape())
        }
    }

    fn new(name: &str, dtype: DType, shape: &[usize]) -> Self {
        Self {
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(data_type(dtype)),
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct StringStringEntryProto {
    #[prost(string, optional, tag = "1")]
    key: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A named value with its type.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueInfoProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, optional, tag = "2")]
    kind: Option<TypeProto>,
}

impl ValueInfoProto {
    /// A tensor of a known type.
    pub(super) fn tensor(name: &str, dtype: DType, shape: &[usize]) -> Self {
        let dim = shape
            .iter()
            .map(|&d| Dimension {
                dim_value: Some(d as i64),
                dim_param: None,
            })
            .collect();
        Self::with_dimensions(name, dtype, dim)
    }

    /// A tensor of some dimensions that are known when it comes.
    pub(super) fn of_rank(name: &str, dtype: DType, rank: usize) -> Self {
        let dim = (0..rank)
            .map(|i| Dimension {
                dim_value: None,
                dim_param: Some(format!("d{i}")),
            })
            .collect();
        Self::with_dimensions(name, dtype, dim)
    }

    fn with_dimensions(name: &str, dtype: DType, dim: Vec<Dimension>) -> Self {
        let tensor = TensorTypeProto {
            elem_type: Some(data_type(dtype)),
            shape: Some(TensorShapeProto { dim }),
        };
        Self {
            name: Some(name.to_owned()),
            kind: Some(TypeProto {
                tensor_type: Some(tensor),
            }),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorTypeProto {
    #[prost(int32, optional, tag = "1")]
    elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

/// A dtype's number in `TensorProto.DataType`.
pub(super) fn data_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::BF16 => 16,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn zeros_are_written_and_not_left_out() {
        assert_eq!(
            AttributeProto::int("axis", 0).encode_to_vec(),
            [10, 4, b'a', b'x', b'i', b's', 24, 0, 160, 1, 2]
        );
    }
}
