//! Every model against what the authors' own code gave.

mod devices;

use std::path::{Path, PathBuf};

use ascendit::backend::Backend;
use ascendit::cancel::Cancel;
use ascendit::tensor::DType;
use ascendit::verify::{self, Limits};

/// The folders of an architecture: its own, and those of other configurations (`dit--nodrop`).
fn goldens(architecture: &str) -> Vec<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let of_architecture = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name == architecture || name.starts_with(&format!("{architecture}--"))
    };
    let entries = std::fs::read_dir(data).expect("test data");
    let mut found: Vec<_> = entries
        .map(|e| e.expect("an entry").path())
        .filter(of_architecture)
        .collect();
    found.sort();
    found
}

fn check(backend: &dyn Backend, architecture: &str, dir: &Path) {
    let outcomes = verify::run(
        backend,
        architecture,
        dir,
        DType::F32,
        Limits::of(DType::F32),
        &Cancel::new(),
    )
    .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    assert!(!outcomes.is_empty(), "{} has no outputs", dir.display());
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|o| !o.ok)
        .map(|o| format!("{o:?}"))
        .collect();
    assert!(
        failed.is_empty(),
        "{} on {}:\n{}",
        dir.display(),
        backend.info().device,
        failed.join("\n")
    );
}

#[test]
fn every_backend_equals_the_authors_code() {
    for backend in devices::available() {
        for architecture in verify::NAMES {
            let folders = goldens(architecture);
            assert!(!folders.is_empty(), "{architecture} has no goldens");
            folders
                .iter()
                .for_each(|dir| check(backend.as_ref(), architecture, dir));
        }
    }
}
