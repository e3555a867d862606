//! Shard indexes: `*.safetensors.index.json` and `*.bin.index.json`, which say in which file
//! each tensor lies.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use serde::Deserialize;

use super::OpenOptions;
use super::entry::FileContent;
use super::file::{self, WeightFile};
use super::locate::shortened;
use super::unique_map::UniqueMap;
use crate::{Error, Result};

/// More than any index has; bounds the memory that a wrong file can take.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// A shard index: the file of every tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIndex {
    /// Names of the tensors of each shard, by the shard's path relative to the index.
    pub shards: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct IndexJson {
    weight_map: UniqueMap<String>,
}

impl ShardIndex {
    /// Reads the JSON text of an index.
    ///
    /// # Errors
    /// Says what is wrong: no `weight_map`, a tensor that is there twice, or a shard that would
    /// lie outside of the index's directory.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let index: IndexJson = serde_json::from_slice(json)
            .map_err(|error| format!("the shard index is damaged: {error}"))?;
        let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (tensor, shard) in index.weight_map.0 {
            let inside = !shard.is_empty()
                && !shard.contains('\\')
                && Path::new(&shard)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                return Err(format!(
                    "{tensor}: its shard {shard:?} is not a file below the index"
                ));
            }
            shards.entry(shard).or_default().push(tensor);
        }
        if shards.is_empty() {
            return Err("the shard index lists no tensors".into());
        }
        Ok(Self { shards })
    }
}

/// Opens all shards of an index. What a shard holds beside its listed tensors is left out.
pub(super) fn open(
    path: &Path,
    options: &OpenOptions,
) -> Result<(Vec<Arc<WeightFile>>, FileContent)> {
    let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if meta.len() > MAX_INDEX_BYTES {
        return Err(Error::file(
            path,
            format!(
                "is {} bytes long, too long for a shard index (at most {MAX_INDEX_BYTES})",
                meta.len()
            ),
        ));
    }
    let json = std::fs::read(path).map_err(Error::io("read", path))?;
    let index = ShardIndex::parse(&json).map_err(|what| Error::file(path, what))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let missing: Vec<&str> = index
        .shards
        .keys()
        .map(String::as_str)
        .filter(|shard| !directory.join(shard).is_file())
        .collect();
    if !missing.is_empty() {
        return Err(Error::file(
            path,
            format!(
                "{} of {} shards are missing: {}; download them again",
                missing.len(),
                index.shards.len(),
                shortened(&missing)
            ),
        ));
    }
    open_shards(path, directory, index, options)
}

fn open_shards(
    path: &Path,
    directory: &Path,
    index: ShardIndex,
    options: &OpenOptions,
) -> Result<(Vec<Arc<WeightFile>>, FileContent)> {
    let mut files = Vec::new();
    let mut all = FileContent::default();
    let mut absent = Vec::new();
    for (shard, names) in index.shards {
        let (file, mut content) = file::open(&directory.join(&shard), options)?;
        for name in names {
            if let Some(mut tensor) = content.tensors.remove(&name) {
                tensor.file = files.len();
                all.tensors.insert(name, tensor);
            } else if let Some(mut tensor) = content.unsupported.remove(&name) {
                tensor.file = files.len();
                all.unsupported.insert(name, tensor);
            } else {
                absent.push(format!("{name} ({shard})"));
            }
        }
        for (key, text) in content.metadata {
            all.metadata.entry(key).or_insert(text);
        }
        files.push(file);
    }
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(String::as_str).collect();
        return Err(Error::file(
            path,
            format!(
                "{} of the tensors it lists are not in their shards: {}; the shards are of \
                 another checkpoint",
                names.len(),
                shortened(&names)
            ),
        ));
    }
    Ok((files, all))
}
