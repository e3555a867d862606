//! Whole generations with the demo checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ascendit::backend::reference::Reference;
use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::pipeline::{Silent, TextToVideo};
use ascendit::verify::{PipelineLimits, run_pipeline};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn generations_equal_those_of_the_authors_pipeline() {
    let checkpoint = Checkpoint::open(Some(&root("assets/demo")), &Overrides::default())
        .expect("the demo opens");
    let mut pipeline =
        TextToVideo::new(Arc::new(Reference::new()), checkpoint, None, true).expect("a pipeline");
    let dir = root("tests/data/open-sora-plan-v1.3-pipeline");
    let outcomes = run_pipeline(
        &mut pipeline,
        &dir,
        PipelineLimits::default(),
        &Silent::default(),
    )
    .expect("runs");
    eprintln!("{outcomes:#?}");
    assert!(!outcomes.is_empty());
    assert!(outcomes.iter().all(|o| o.ok), "{outcomes:#?}");
}
