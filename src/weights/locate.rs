//! Which file a path means: itself, or what lies in a directory.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What to open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    File(PathBuf),
    Index(PathBuf),
}

/// Names that diffusers and transformers write, in the order of preference.
const KNOWN_NAMES: [&str; 8] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

const INDEX_SUFFIX: &str = ".index.json";

/// Endings of weight files of other names, in the order of preference: the first group of which
/// there is a file must have one only.
const ENDINGS: [&[&str]; 4] = [
    &[".safetensors.index.json"],
    &[".safetensors"],
    &[".bin.index.json"],
    &[".bin", ".pt", ".pth", ".ckpt"],
];

pub(super) fn locate(path: &Path) -> Result<Location> {
    let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if !meta.is_dir() {
        return Ok(by_name(path.to_owned()));
    }
    for name in KNOWN_NAMES {
        let path = path.join(name);
        if path.exists() {
            return Ok(by_name(path));
        }
    }
    let names = list(path)?;
    for endings in ENDINGS {
        let mut fitting = names
            .iter()
            .filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
        match (fitting.next(), fitting.next()) {
            (None, _) => {}
            (Some(name), None) => return Ok(by_name(path.join(name))),
            (Some(first), Some(second)) => {
                let all: Vec<&str> = [first, second]
                    .into_iter()
                    .chain(fitting)
                    .map(String::as_str)
                    .collect();
                return Err(Error::file(
                    path,
                    format!(
                        "has several weight files and none of the usual names: {}; name one of \
                         them",
                        shortened(&all)
                    ),
                ));
            }
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(Error::file(
        path,
        format!(
            "has no weight file; looked for {}, and for a single *.safetensors, *.bin, *.pt, \
             *.pth or *.ckpt; {}",
            KNOWN_NAMES.join(", "),
            if names.is_empty() {
                "the directory is empty".into()
            } else {
                format!("the directory has {}", shortened(&names))
            }
        ),
    ))
}

fn by_name(path: PathBuf) -> Location {
    if path.to_string_lossy().ends_with(INDEX_SUFFIX) {
        Location::Index(path)
    } else {
        Location::File(path)
    }
}

/// Names in a directory, sorted.
fn list(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Names for a message: not more than fit a screen.
pub(super) fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        format!("{shown} and {} more", names.len() - SHOWN)
    } else {
        shown
    }
}
