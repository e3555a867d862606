//! Weight files: what is read from them, and what is refused.

#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod checks;
mod damaged_torch;
mod files;
mod fuzz;
mod pickles;
mod safetensors;
mod torch;
mod views;

use std::path::{Path, PathBuf};

use ascendit::weights::{OpenOptions, StateDict, Weights};

/// A file of `tests/data`.
fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn open(path: &Path) -> Weights {
    Weights::open(path, &OpenOptions::default()).unwrap()
}

fn with_state_dict(state_dict: &str) -> OpenOptions {
    OpenOptions {
        state_dict: StateDict::from(state_dict),
    }
}

fn from_bytes(bytes: &[u8]) -> ascendit::Result<Weights> {
    Weights::from_bytes(bytes.to_vec(), &OpenOptions::default())
}

/// The whole text of the error.
fn message(result: ascendit::Result<Weights>) -> String {
    result.unwrap_err().to_string()
}

/// A safetensors file from its header and elements.
fn safetensors_file(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(elements);
    file
}
