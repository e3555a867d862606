//! One weight file: mapping it, and telling its format by its content.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::OpenOptions;
use super::entry::FileContent;
use super::{safetensors, torch};
use crate::{Error, Result};

/// A file that weights lie in, mapped into memory for as long as this value lives.
pub struct WeightFile {
    path: PathBuf,
    data: Data,
}

enum Data {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl WeightFile {
    /// The path, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file. Its address does not change while this value lives.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Mapped(map) => map,
            Data::Memory(bytes) => bytes,
        }
    }
}

impl fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.bytes().len())
    }
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<(Arc<WeightFile>, FileContent)> {
    let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if !meta.is_file() {
        return Err(Error::file(path, "is not a regular file"));
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    // SAFETY: the map is only read. A file that is changed while it is open can show any bytes,
    // which every use of them stands, or fault where it shrinks; `Weights` documents this.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
    let format = format_of(&map).map_err(|what| Error::file(path, what))?;
    let content = match format {
        Format::Safetensors => safetensors::parse(&map),
        // Through the file, not the map: its records are spread over the file, and each look at
        // one through the map would make many pages around it resident.
        Format::TorchZip => torch::parse(BufReader::new(&file), map.len(), options),
    };
    let content = content.map_err(|what| Error::file(path, what))?;
    let path = path.canonicalize().map_err(Error::io("find", path))?;
    let data = Data::Mapped(map);
    Ok((Arc::new(WeightFile { path, data }), content))
}

pub(super) fn from_bytes(
    bytes: Vec<u8>,
    options: &OpenOptions,
) -> Result<(Arc<WeightFile>, FileContent)> {
    let path = PathBuf::from("<memory>");
    let content = format_of(&bytes)
        .and_then(|format| match format {
            Format::Safetensors => safetensors::parse(&bytes),
            Format::TorchZip => torch::parse(Cursor::new(&bytes[..]), bytes.len(), options),
        })
        .map_err(|what| Error::file(&path, what))?;
    let data = Data::Memory(bytes);
    Ok((Arc::new(WeightFile { path, data }), content))
}

enum Format {
    Safetensors,
    TorchZip,
}

fn format_of(bytes: &[u8]) -> Result<Format, String> {
    if bytes.is_empty() {
        return Err("is empty; download it again".into());
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::TorchZip);
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(
            "is a Git LFS pointer, not the weights; get them with `git lfs pull`, or download \
             the file itself"
                .into(),
        );
    }
    // A pickle of protocol 2 to 5: what torch.save wrote before version 1.6.
    if matches!(bytes, [0x80, 2..=5, ..]) && bytes.get(8) != Some(&b'{') {
        return Err(
            "is in PyTorch's format from before version 1.6, or a plain pickle; load it in Python \
             and save it again with torch.save, or as safetensors"
                .into(),
        );
    }
    if bytes.len() < 9 || bytes[8] == b'{' {
        return Ok(Format::Safetensors);
    }
    Err("is neither a safetensors file nor a PyTorch zip checkpoint".into())
}
