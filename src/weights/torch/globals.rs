//! The names that a checkpoint's pickle may ask for, and what is made of them instead of the
//! Python objects that they name.

use crate::tensor::DType;

/// Element type of a PyTorch storage or tensor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// PyTorch's name of the type: `float32`.
    pub(super) name: &'static str,
    /// PyTorch's name of the storage class without `Storage`, where there is one: `Float`.
    storage: &'static str,
    /// The type here, if it is supported.
    pub(super) dtype: Option<DType>,
    /// Bytes per element.
    pub(super) size: usize,
}

const fn element(
    name: &'static str,
    storage: &'static str,
    dtype: Option<DType>,
    size: usize,
) -> Element {
    Element {
        name,
        storage,
        dtype,
        size,
    }
}

static ELEMENTS: [Element; 19] = [
    element("float64", "Double", Some(DType::F64), 8),
    element("float32", "Float", Some(DType::F32), 4),
    element("float16", "Half", Some(DType::F16), 2),
    element("bfloat16", "BFloat16", Some(DType::BF16), 2),
    element("int64", "Long", Some(DType::I64), 8),
    element("int32", "Int", Some(DType::I32), 4),
    element("uint8", "Byte", Some(DType::U8), 1),
    element("bool", "Bool", Some(DType::Bool), 1),
    element("int8", "Char", None, 1),
    element("int16", "Short", None, 2),
    element("complex64", "ComplexFloat", None, 8),
    element("complex128", "ComplexDouble", None, 16),
    element("uint16", "", None, 2),
    element("uint32", "", None, 4),
    element("uint64", "", None, 8),
    element("float8_e4m3fn", "", None, 1),
    element("float8_e5m2", "", None, 1),
    element("float8_e4m3fnuz", "", None, 1),
    element("float8_e5m2fnuz", "", None, 1),
];

/// What a name in a pickle stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    /// Called without arguments, an empty dict.
    OrderedDict,
    /// Called with a storage, an offset, sizes and strides, a tensor of the storage's type.
    RebuildTensor,
    /// As `RebuildTensor`, with the element type as the seventh argument.
    RebuildTensorOfType,
    /// Called with a tensor first, that tensor.
    RebuildParameter,
    /// Called with a sequence, that sequence.
    Size,
    /// A storage class; `None` is bytes without a type.
    Storage(Option<&'static Element>),
    /// An element type.
    Element(&'static Element),
    /// Something without tensors (a device, a set, an argument list): called or not, a value that
    /// is not looked at.
    Inert,
}

/// What a name stands for; `None` if it is not a tensor, container or scalar.
pub(super) fn global(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorOfType,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Global::RebuildParameter
        }
        ("torch", "Size") => Global::Size,
        ("torch.storage" | "torch", "UntypedStorage") => Global::Storage(None),
        ("torch", "device")
        | ("collections", "Counter")
        | ("torch.serialization", "_get_layout")
        | ("__builtin__" | "builtins", "set" | "frozenset" | "complex" | "bytearray")
        | ("_codecs", "encode")
        | ("argparse", "Namespace") => Global::Inert,
        ("torch", _) => {
            if let Some(element) = ELEMENTS.iter().find(|e| e.name == name) {
                return Some(Global::Element(element));
            }
            let storage = name.strip_suffix("Storage").filter(|s| !s.is_empty())?;
            let element = ELEMENTS.iter().find(|e| e.storage == storage)?;
            Global::Storage(Some(element))
        }
        _ => return None,
    })
}
