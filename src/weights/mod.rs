//! What a component's weight files hold: named tensors as places in memory-mapped files.
//!
//! ```no_run
//! use ascendit::weights::{OpenOptions, Weights};
//!
//! let weights = Weights::open("transformer".as_ref(), &OpenOptions::default())?;
//! let qkv = weights.view("blocks.0.attn.qkv.weight")?; // f16[3 * D, D]
//! let d = qkv.shape()[1];
//! let k = qkv.slice(0, d, d)?; // still in the file
//! let k = k.materialize(&weights)?; // now in memory
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! Safetensors and PyTorch zip checkpoints are read, whole or in shards. Opening reads names,
//! shapes and places; elements stay in the file until they are used. Nothing in a checkpoint is
//! ever executed, and a damaged or hostile file is an error. Element types are not converted
//! here, tensors are not renamed, and nothing is written.

mod check;
mod entry;
mod file;
mod index;
mod locate;
mod safetensors;
mod torch;
mod unique_map;
mod view;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::tensor::HostTensor;
use crate::{Error, Result};

pub use entry::{TensorEntry, Unsupported};
pub use file::WeightFile;
pub use index::ShardIndex;
pub use view::View;

use entry::FileContent;
use locate::Location;

/// How to open weight files.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Which state dict to take from a PyTorch checkpoint that holds several.
    pub state_dict: StateDict,
}

/// Which state dict to take from a PyTorch checkpoint. Safetensors files have only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateDict {
    /// The averaged (EMA) weights where there are any, the plain ones otherwise.
    #[default]
    Auto,
    /// The averaged weights; an error where there are none.
    Ema,
    /// The weights as trained last.
    Plain,
    /// The one under this key, or under a path of keys joined by dots: `state_dict.gen_model`.
    Key(String),
}

impl From<&str> for StateDict {
    /// `auto`, `ema`, `plain`, or a key.
    fn from(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "ema" => Self::Ema,
            "plain" => Self::Plain,
            key => Self::Key(key.to_owned()),
        }
    }
}

/// The tensors of one component, as places in mapped files.
///
/// The files must not change while they are open: the operating system shows such changes through
/// the map, and a file that shrinks ends the process when its lost part is touched.
#[derive(Clone, Debug)]
pub struct Weights {
    files: Vec<Arc<WeightFile>>,
    tensors: BTreeMap<String, TensorEntry>,
    unsupported: BTreeMap<String, Unsupported>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Opens a weight file, a shard index, or the directory of a component.
    ///
    /// A directory is searched for the names that diffusers and transformers write
    /// (`diffusion_pytorch_model`, `model`, `pytorch_model`; safetensors first), then for a single
    /// weight file of any name.
    ///
    /// # Errors
    /// Where nothing or more than one thing is found, a shard or a tensor of the index is
    /// missing, or a file is damaged, in an unknown format, or wants code to be run.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        match locate::locate(path)? {
            Location::File(path) => {
                let (file, content) = file::open(&path, options)?;
                Ok(Self::new(vec![file], content))
            }
            Location::Index(path) => {
                let (files, content) = index::open(&path, options)?;
                Ok(Self::new(files, content))
            }
        }
    }

    /// Weights from the bytes of one file, safetensors or PyTorch zip, for tests and for files
    /// that come from elsewhere than a disk. The path of its only file is `<memory>`.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn from_bytes(bytes: Vec<u8>, options: &OpenOptions) -> Result<Self> {
        let (file, content) = file::from_bytes(bytes, options)?;
        Ok(Self::new(vec![file], content))
    }

    fn new(files: Vec<Arc<WeightFile>>, content: FileContent) -> Self {
        let FileContent {
            tensors,
            unsupported,
            metadata,
        } = content;
        let mut weights = Self {
            files,
            tensors,
            unsupported,
            metadata,
        };
        if weights.names().all(|name| name.starts_with(WRAPPER)) {
            weights.tensors = without_wrapper(weights.tensors);
            weights.unsupported = without_wrapper(weights.unsupported);
        }
        weights
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut readable = self.tensors.keys().peekable();
        let mut unsupported = self.unsupported.keys().peekable();
        std::iter::from_fn(move || match (readable.peek(), unsupported.peek()) {
            (Some(a), Some(b)) if a > b => unsupported.next(),
            (None, _) => unsupported.next(),
            _ => readable.next(),
        })
        .map(String::as_str)
    }

    /// Names and places of the tensors whose element type the engine knows, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.tensors
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// The place of a tensor, or `None` where there is none or its element type is not one the
    /// engine knows; [`Weights::entry`] tells these apart.
    pub fn get(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.get(name)
    }

    /// The place of a tensor.
    ///
    /// # Errors
    /// Names the tensor where it is missing or its element type is not one the engine knows.
    pub fn entry(&self, name: &str) -> Result<&TensorEntry> {
        if let Some(entry) = self.tensors.get(name) {
            return Ok(entry);
        }
        Err(match self.unsupported.get(name) {
            Some(tensor) => Error::file(
                self.files[tensor.file].path(),
                format!("{name}: {}", tensor.problem()),
            ),
            None => Error::file(self.files[0].path(), format!("{name}: missing")),
        })
    }

    /// Tensors of element types that the engine does not know, by name.
    pub fn unsupported(&self) -> &BTreeMap<String, Unsupported> {
        &self.unsupported
    }

    /// The bytes from a tensor's first to its last element, straight out of the map: exactly its
    /// elements where [`TensorEntry::is_contiguous`], with other bytes between them elsewhere.
    /// They are little-endian and may lie at any alignment.
    ///
    /// # Panics
    /// If the entry is of other weights.
    pub fn bytes(&self, entry: &TensorEntry) -> &[u8] {
        &self.files[entry.file].bytes()[entry.offset..][..entry.span_bytes()]
    }

    /// A view of a whole tensor, from which others are cut.
    ///
    /// # Errors
    /// As [`Weights::entry`].
    pub fn view(&self, name: &str) -> Result<View> {
        Ok(View::of(name, self.entry(name)?))
    }

    /// A copy of a tensor in row-major order.
    ///
    /// # Errors
    /// As [`Weights::entry`].
    pub fn read(&self, name: &str) -> Result<HostTensor> {
        self.view(name)?.materialize(self)
    }

    /// The mapped files; [`TensorEntry::file`] counts them.
    pub fn files(&self) -> &[Arc<WeightFile>] {
        &self.files
    }

    /// The canonical path of a file.
    ///
    /// # Panics
    /// If there are not so many files.
    pub fn file_path(&self, file: usize) -> &Path {
        self.files[file].path()
    }

    /// The free-form texts of a safetensors header (`__metadata__`); of several shards, the first
    /// that sets a key wins.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Number of elements of all readable tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().map(|t| t.numel() as u64).sum()
    }

    /// Bytes of the elements of all readable tensors. Tensors that share storage count each.
    pub fn size_bytes(&self) -> u64 {
        self.tensors.values().map(|t| t.size_bytes() as u64).sum()
    }
}

/// What `DataParallel` and `DistributedDataParallel` put before every name.
const WRAPPER: &str = "module.";

fn without_wrapper<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    tensors
        .into_iter()
        .map(|(name, tensor)| (name[WRAPPER.len()..].to_owned(), tensor))
        .collect()
}
