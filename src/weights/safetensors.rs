//! The header of a safetensors file: 8 bytes of length, JSON, then the elements.
//!
//! The rules are those of the `safetensors` crate (no holes, no overlaps, nothing after the last
//! tensor, header of at most 100 MB); a test holds this parser to it. It is not that crate's
//! parser because every message here names the tensor, equal names are refused, and a type that
//! is not supported, or not yet known, is no reason to refuse the other tensors.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::entry::{FileContent, TensorEntry, Unsupported, checked_elements, row_major};
use super::unique_map::UniqueMap;
use crate::tensor::DType;

const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads the header in `bytes`, a whole file; the elements are not touched.
pub(super) fn parse(bytes: &[u8]) -> Result<FileContent, String> {
    let Some((header_len, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!(
            "is only {} bytes long, so it is no safetensors file; download it again",
            bytes.len()
        ));
    };
    let header_len = u64::from_le_bytes(*header_len);
    if header_len > MAX_HEADER_BYTES {
        return Err(format!(
            "is no safetensors file: its header would be {header_len} bytes long, and at most \
             {MAX_HEADER_BYTES} are allowed"
        ));
    }
    let Some((header, data)) = rest.split_at_checked(header_len as usize) else {
        return Err(format!(
            "is cut off: its header is {header_len} bytes long, and the file has {} after its \
             length; download it again",
            rest.len()
        ));
    };
    let header: Header = serde_json::from_slice(header)
        .map_err(|error| format!("the safetensors header is damaged: {error}"))?;
    let data_start = bytes.len() - data.len();
    content(header, data_start, data.len())
}

struct Header {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Header, A::Error> {
        let mut tensors = BTreeMap::new();
        let mut metadata = None;
        while let Some(name) = access.next_key::<String>()? {
            let named = |error: A::Error| A::Error::custom(format!("{name}: {error}"));
            let twice = if name == "__metadata__" {
                let texts: Option<UniqueMap<String>> = access.next_value().map_err(named)?;
                metadata.replace(texts).is_some()
            } else {
                let info: TensorInfo = access.next_value().map_err(named)?;
                tensors.insert(name.clone(), info).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("{name} is there twice")));
            }
        }
        Ok(Header {
            tensors,
            metadata: metadata.flatten().map(|map| map.0).unwrap_or_default(),
        })
    }
}

fn content(header: Header, data_start: usize, data_len: usize) -> Result<FileContent, String> {
    let mut order: Vec<(&String, (usize, usize))> = header
        .tensors
        .iter()
        .map(|(name, info)| (name, info.data_offsets))
        .collect();
    order.sort_by_key(|&(_, offsets)| offsets);
    check_ranges(&order, data_len)?;

    let mut content = FileContent {
        metadata: header.metadata,
        ..FileContent::default()
    };
    for (name, info) in header.tensors {
        let elements =
            checked_elements(&info.shape).map_err(|problem| format!("{name}: {problem}"))?;
        let (start, end) = info.data_offsets;
        if let Some(bits) = element_bits(&info.dtype) {
            let expected = elements
                .checked_mul(bits)
                .filter(|bits| bits % 8 == 0)
                .map(|bits| bits / 8);
            if expected != Some(end - start) {
                return Err(format!(
                    "{name}: {} elements of type {} do not fill its {} bytes",
                    elements,
                    info.dtype,
                    end - start
                ));
            }
        }
        match dtype(&info.dtype) {
            Some(dtype) => {
                let entry = TensorEntry {
                    dtype,
                    strides: row_major(&info.shape),
                    shape: info.shape,
                    file: 0,
                    offset: data_start + start,
                };
                content.tensors.insert(name, entry);
            }
            None => {
                let tensor = Unsupported {
                    dtype: info.dtype,
                    shape: info.shape,
                    file: 0,
                };
                content.unsupported.insert(name, tensor);
            }
        }
    }
    Ok(content)
}

/// The tensors, sorted by place, must cover the data exactly once.
fn check_ranges(order: &[(&String, (usize, usize))], data_len: usize) -> Result<(), String> {
    let mut covered = 0;
    let mut previous = "the header";
    for &(name, (start, end)) in order {
        if start > end {
            return Err(format!(
                "{name}: it ends at byte {end}, before its start {start}"
            ));
        }
        if end > data_len {
            return Err(format!(
                "{name}: it lies at bytes {start} to {end}, and the file has {data_len}; the file \
                 is cut off, download it again"
            ));
        }
        if start < covered {
            return Err(format!(
                "{name}: its bytes {start} to {end} overlap those of {previous}"
            ));
        }
        if start > covered {
            return Err(format!(
                "bytes {covered} to {start}, before {name}, belong to no tensor"
            ));
        }
        covered = end;
        previous = name;
    }
    if covered < data_len {
        return Err(format!(
            "bytes {covered} to {data_len}, after the last tensor, belong to no tensor"
        ));
    }
    Ok(())
}

fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "U8" => DType::U8,
        "BOOL" => DType::Bool,
        _ => return None,
    })
}

/// Bits per element of the types that the format defines.
fn element_bits(dtype: &str) -> Option<usize> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}
