//! PyTorch zip checkpoints (`torch.save` since version 1.6), read in place.
//!
//! Such a file is a zip archive of uncompressed records: `NAME/data.pkl`, a pickle of the saved
//! objects, and `NAME/data/N`, the storages that its tensors are windows on. The pickle is run by
//! a machine that knows tensors, containers and scalars ([`pickle`]); one state dict is taken out
//! of it ([`state_dict`]), and its tensors become places in the records ([`archive`]).

mod archive;
mod globals;
mod objects;
mod pickle;
mod state_dict;

use std::io::{Read, Seek};

use super::OpenOptions;
use super::entry::{FileContent, TensorEntry, Unsupported, checked_elements};
use archive::Archive;
use objects::{Objects, TensorObject, Value};

/// Reads names and places of the tensors of an archive that is `file_len` bytes long.
pub(super) fn parse(
    reader: impl Read + Seek,
    file_len: usize,
    options: &OpenOptions,
) -> Result<FileContent, String> {
    let (archive, pickle) = Archive::read(reader, file_len)?;
    let objects = pickle::load(&pickle)?;
    let items = state_dict::select(&objects, &options.state_dict)?;
    let mut content = FileContent::default();
    for &(key, value) in items {
        let (Value::Text(name), Value::Tensor(tensor)) = (key, value) else {
            continue;
        };
        let name = objects.text(name);
        if content.tensors.contains_key(name) || content.unsupported.contains_key(name) {
            return Err(format!("{name} is there twice"));
        }
        place(
            &mut content,
            name,
            objects.tensor(tensor),
            &objects,
            &archive,
        )
        .map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(content)
}

/// Adds a tensor to `content`, after all that it says has been held against its storage.
fn place(
    content: &mut FileContent,
    name: &str,
    tensor: &TensorObject,
    objects: &Objects,
    archive: &Archive,
) -> Result<(), String> {
    let shape = sizes(objects.sequence(tensor.shape))?;
    let strides = sizes(objects.sequence(tensor.strides))?;
    let elements = checked_elements(&shape)?;
    if strides.len() != shape.len() {
        return Err(format!(
            "it has {} axes and {} strides",
            shape.len(),
            strides.len()
        ));
    }
    let storage = objects.storage(tensor.storage);
    let key = objects.text(storage.key);
    let record = archive.storage(key)?;
    let item = tensor.element.size();
    let (storage_name, storage_item) = match storage.element {
        Some(element) => (element.name(), element.size()),
        None => ("uint8", 1),
    };
    let expected = usize::try_from(storage.len)
        .ok()
        .and_then(|len| len.checked_mul(storage_item));
    if expected != Some(record.len()) {
        return Err(format!(
            "its storage {key} has {} bytes, which are not {} elements of {storage_name}; the \
             file is damaged, download it again",
            record.len(),
            storage.len
        ));
    }
    let (strides, start) = if elements == 0 {
        (vec![0; shape.len()], 0)
    } else {
        let start = window(&shape, &strides, tensor.offset, record.len() / item)?;
        (strides, start)
    };
    // A storage that is spread over a larger shape by strides of 0 would let a small file ask for
    // any amount of memory.
    if elements > record.len() / item {
        return Err(format!(
            "its shape {shape:?} repeats a storage of {} elements; save it with .contiguous()",
            record.len() / item
        ));
    }
    match tensor.element.dtype() {
        Some(dtype) => {
            let entry = TensorEntry {
                dtype,
                shape,
                strides,
                file: 0,
                offset: record.start + start * item,
            };
            content.tensors.insert(name.to_owned(), entry);
        }
        None => {
            let tensor = Unsupported {
                dtype: tensor.element.name().to_owned(),
                shape,
                file: 0,
            };
            content.unsupported.insert(name.to_owned(), tensor);
        }
    }
    Ok(())
}

/// Checks that a tensor with elements lies inside `available` elements, and gives its start back.
fn window(
    shape: &[usize],
    strides: &[usize],
    offset: i64,
    available: usize,
) -> Result<usize, String> {
    let last = shape.iter().zip(strides).try_fold(0usize, |last, (d, s)| {
        last.checked_add((d - 1).checked_mul(*s)?)
    });
    usize::try_from(offset)
        .ok()
        .zip(last)
        .filter(|&(start, last)| start.checked_add(last).is_some_and(|last| last < available))
        .map(|(start, _)| start)
        .ok_or_else(|| {
            format!(
                "its shape {shape:?} with strides {strides:?} from element {offset} on leaves \
                 its storage of {available} elements"
            )
        })
}

fn sizes(values: &[Value]) -> Result<Vec<usize>, String> {
    values
        .iter()
        .map(|value| match value {
            Value::Int(n) => usize::try_from(*n).map_err(|_| format!("a size of {n}")),
            _ => Err("a size that is not a number".into()),
        })
        .collect()
}
