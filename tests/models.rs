//! Every model against what the authors' own code gave.

mod devices;

use std::path::PathBuf;

use ascendit::backend::Backend;
use ascendit::cancel::Cancel;
use ascendit::tensor::DType;
use ascendit::verify::{self, Limits};

fn goldens(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn check(backend: &dyn Backend, architecture: &str) {
    let outcomes = verify::run(
        backend,
        architecture,
        &goldens(architecture),
        DType::F32,
        Limits::of(DType::F32),
        &Cancel::new(),
    )
    .unwrap_or_else(|e| panic!("{architecture}: {e}"));
    assert!(!outcomes.is_empty(), "{architecture} has no outputs");
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|o| !o.ok)
        .map(|o| format!("{o:?}"))
        .collect();
    assert!(
        failed.is_empty(),
        "{architecture} on {}:\n{}",
        backend.info().device,
        failed.join("\n")
    );
}

#[test]
fn every_backend_equals_the_authors_code() {
    for backend in devices::available() {
        for architecture in verify::NAMES {
            check(backend.as_ref(), architecture);
        }
    }
}
