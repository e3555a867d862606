//! What a pickle describes: values, and tables of the objects that they refer to by number, so
//! that containers which hold themselves are harmless.

use super::globals::{Element, Global};

/// A string: its place in the pickle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// A value on the machine's stack or in a container.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A whole number of up to 64 bits.
    Int(i64),
    /// A string.
    Text(Text),
    /// A list or tuple, by number.
    Sequence(u32),
    /// A dict, by number.
    Dict(u32),
    /// A storage, by number.
    Storage(u32),
    /// A tensor, by number.
    Tensor(u32),
    /// A name that may be called.
    Global(Global),
    /// Anything that no tensor is made of: `None`, truth values, floats, bytes, sets.
    Other,
}

/// A storage that a pickle names.
#[derive(Debug)]
pub(super) struct StorageObject {
    pub(super) key: Text,
    /// `None` where it is bytes without a type.
    pub(super) element: Option<Element>,
    /// Number of elements.
    pub(super) len: i64,
}

/// A tensor as a pickle describes it; nothing of it is checked yet.
#[derive(Debug)]
pub(super) struct TensorObject {
    pub(super) storage: u32,
    pub(super) element: Element,
    pub(super) offset: i64,
    pub(super) shape: u32,
    pub(super) strides: u32,
}

/// All objects of a pickle.
pub(super) struct Objects<'a> {
    pub(super) pickle: &'a [u8],
    pub(super) sequences: Vec<Vec<Value>>,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
    pub(super) storages: Vec<StorageObject>,
    pub(super) tensors: Vec<TensorObject>,
    /// What was saved.
    pub(super) root: Value,
}

impl<'a> Objects<'a> {
    pub(super) fn text(&self, text: Text) -> &'a str {
        let bytes = &self.pickle[text.start as usize..][..text.len as usize];
        std::str::from_utf8(bytes).expect("checked when the string was read")
    }

    pub(super) fn sequence(&self, sequence: u32) -> &[Value] {
        &self.sequences[sequence as usize]
    }

    pub(super) fn dict(&self, dict: u32) -> &[(Value, Value)] {
        &self.dicts[dict as usize]
    }

    pub(super) fn storage(&self, storage: u32) -> &StorageObject {
        &self.storages[storage as usize]
    }

    pub(super) fn tensor(&self, tensor: u32) -> &TensorObject {
        &self.tensors[tensor as usize]
    }
}
