//! Every model against what the authors' own code gave.

mod devices;

use std::path::{Path, PathBuf};

use ascendit::backend::Backend;
use ascendit::cancel::Cancel;
use ascendit::tensor::DType;
use ascendit::verify::{self, Limits, Outcome};

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

fn check(backend: &dyn Backend, architecture: &str, dir: &Path, dtype: DType, beyond: &[Beyond]) {
    let limits = Limits::of(dtype);
    let outcomes = verify::run(backend, architecture, dir, dtype, limits, &Cancel::new())
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    assert!(!outcomes.is_empty(), "{} has no outputs", dir.display());
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|o| !o.ok && !is_excused(dir, o, beyond))
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

/// An output that may be farther than `verify` lets it: folder, case, output and how far.
type Beyond = (&'static str, &'static str, &'static str, f64);

/// Outputs in bf16 beyond `verify`'s limit, where the authors' own code in bf16 is as far from its own f32.
/// The authors' `video`s are 3.6e-4, 4.4e-4, 4.1e-4 and 3.2e-4 (ours 4.2e-4, 3.5e-4, 3.3e-4 and 3.6e-4), their
/// `logvar` of four numbers 9.6e-4 (7.8e-4).
const BEYOND_IN_BF16: [Beyond; 5] = [
    ("wfvae-v1.3", "image", "video", 4.5e-4),
    ("wfvae-v1.3", "short", "video", 4e-4),
    ("wfvae-v1.3", "video", "video", 3.5e-4),
    ("wfvae-v1.3--no-attention", "t1-8x8", "video", 4e-4),
    ("wfvae-v1.3--no-attention", "t1-8x8", "logvar", 8.5e-4),
];

/// The same with our own kernels: 3.7e-4, 1.16e-3.
const BEYOND_WITH_KERNELS: [Beyond; 2] = [
    ("wfvae-v1.3", "short", "video", 4e-4),
    ("wfvae-v1.3--no-attention", "t1-8x8", "logvar", 1.2e-3),
];

/// Whether an output is one of those, and no farther than it may be.
fn is_excused(dir: &Path, outcome: &Outcome, beyond: &[Beyond]) -> bool {
    beyond.iter().any(|(folder, case, output, nmse)| {
        dir.ends_with(folder)
            && outcome.case == *case
            && outcome.output == *output
            && outcome.nmse <= *nmse
    })
}

#[test]
fn every_backend_equals_the_authors_code() {
    for backend in devices::available() {
        for architecture in verify::NAMES {
            let folders = goldens(architecture);
            assert!(!folders.is_empty(), "{architecture} has no goldens");
            folders
                .iter()
                .for_each(|dir| check(backend.as_ref(), architecture, dir, DType::F32, &[]));
        }
    }
}

#[test]
fn the_twin_equals_the_authors_code_in_half_precision() {
    for kernels in [false, true] {
        let Some(twin) = devices::twin(kernels) else {
            return;
        };
        for dtype in [DType::F16, DType::BF16] {
            for architecture in verify::NAMES {
                for dir in goldens(architecture) {
                    let beyond: &[Beyond] = match (dtype, kernels) {
                        (DType::BF16, false) => &BEYOND_IN_BF16,
                        (DType::BF16, true) => &BEYOND_WITH_KERNELS,
                        _ => &[],
                    };
                    check(&twin, architecture, &dir, dtype, beyond);
                }
            }
        }
    }
}
