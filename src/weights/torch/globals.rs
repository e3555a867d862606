//! The names that a checkpoint's pickle may ask for, and what is made of them instead of the
//! Python objects that they name.

use crate::tensor::DType;

/// Element type of a PyTorch storage or tensor. One byte, because values are many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element(u8);

/// PyTorch's name of the type, its name of the storage class without `Storage` (empty where there
/// is none), the type here if it is supported, and bytes per element.
static ELEMENTS: [(&str, &str, Option<DType>, usize); 19] = [
    ("float64", "Double", Some(DType::F64), 8),
    ("float32", "Float", Some(DType::F32), 4),
    ("float16", "Half", Some(DType::F16), 2),
    ("bfloat16", "BFloat16", Some(DType::BF16), 2),
    ("int64", "Long", Some(DType::I64), 8),
    ("int32", "Int", Some(DType::I32), 4),
    ("uint8", "Byte", Some(DType::U8), 1),
    ("bool", "Bool", Some(DType::Bool), 1),
    ("int8", "Char", None, 1),
    ("int16", "Short", None, 2),
    ("complex64", "ComplexFloat", None, 8),
    ("complex128", "ComplexDouble", None, 16),
    ("uint16", "", None, 2),
    ("uint32", "", None, 4),
    ("uint64", "", None, 8),
    ("float8_e4m3fn", "", None, 1),
    ("float8_e5m2", "", None, 1),
    ("float8_e4m3fnuz", "", None, 1),
    ("float8_e5m2fnuz", "", None, 1),
];

impl Element {
    /// PyTorch's name of the type: `float32`.
    pub(super) fn name(self) -> &'static str {
        ELEMENTS[usize::from(self.0)].0
    }

    /// The type here, if it is supported.
    pub(super) fn dtype(self) -> Option<DType> {
        ELEMENTS[usize::from(self.0)].2
    }

    /// Bytes per element.
    pub(super) fn size(self) -> usize {
        ELEMENTS[usize::from(self.0)].3
    }

    fn find(fits: impl Fn(&(&str, &str, Option<DType>, usize)) -> bool) -> Option<Self> {
        ELEMENTS.iter().position(fits).map(|at| Self(at as u8))
    }
}

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
    Storage(Option<Element>),
    /// An element type.
    Element(Element),
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
            if let Some(element) = Element::find(|(dtype, ..)| *dtype == name) {
                return Some(Global::Element(element));
            }
            let class = name.strip_suffix("Storage").filter(|s| !s.is_empty())?;
            let element = Element::find(|(_, storage, ..)| *storage == class)?;
            Global::Storage(Some(element))
        }
        _ => return None,
    })
}
