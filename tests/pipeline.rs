//! Whole generations with the demo checkpoint.

mod devices;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ascendit::Error;
use ascendit::backend::Backend;
use ascendit::backend::reference::Reference;
use ascendit::cancel::Cancel;
use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::pipeline::{Event, Observer, Request, Silent, Stage, TextToVideo};
use ascendit::tensor::DType;
use ascendit::verify::{PipelineLimits, run_pipeline};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn equals_the_authors_pipeline(backend: Box<dyn Backend>, dtype: DType) {
    let checkpoint = Checkpoint::open(Some(&root("assets/demo")), &Overrides::default())
        .expect("the demo opens");
    let device = backend.info().device;
    let mut pipeline =
        TextToVideo::new(backend.into(), checkpoint, Some(dtype), true).expect("a pipeline");
    let outcomes = run_pipeline(
        &mut pipeline,
        &root("tests/data/open-sora-plan-v1.3-pipeline"),
        PipelineLimits::of(dtype),
        &Silent::default(),
    )
    .expect("it runs");
    assert_eq!(outcomes.len(), 4);
    assert!(
        outcomes.iter().all(|o| o.ok),
        "{device} in {dtype}: {outcomes:#?}"
    );
}

#[test]
fn generations_equal_those_of_the_authors_pipeline() {
    for backend in devices::available() {
        equals_the_authors_pipeline(backend, DType::F32);
    }
    for dtype in [DType::F16, DType::BF16] {
        if let Some(twin) = devices::twin(false) {
            equals_the_authors_pipeline(Box::new(twin), dtype);
        }
    }
}

#[test]
fn a_seed_gives_the_same_frames_again_and_another_seed_gives_others() {
    let checkpoint = Checkpoint::open(Some(&root("assets/demo")), &Overrides::default())
        .expect("the demo opens");
    let mut pipeline =
        TextToVideo::new(Arc::new(Reference::new()), checkpoint, None, true).expect("a pipeline");
    let mut frames = |seed: u64| {
        let request = Request {
            prompt: "a blue two, growing, teal backdrop".into(),
            frames: Some(5),
            steps: Some(2),
            seed,
            ..Request::default()
        };
        let mut frames = vec![];
        pipeline
            .generate(&request, &Silent::default(), &mut |frame| {
                frames.push(frame.pixels);
                Ok(())
            })
            .expect("it generates");
        frames
    };
    let first = frames(1);
    assert_eq!(first.len(), 5);
    assert_eq!(first, frames(1));
    assert_ne!(first, frames(2));
}

/// Cancels when a stage has begun.
struct CancelAt(Stage, Cancel);

impl Observer for CancelAt {
    fn on(&self, event: Event<'_>) {
        if matches!(event, Event::Begin(stage, _) if stage == self.0) {
            self.1.cancel();
        }
    }

    fn cancel(&self) -> &Cancel {
        &self.1
    }
}

#[test]
fn a_generation_stops_in_every_stage_when_asked() {
    for backend in devices::available() {
        let backend: Arc<dyn Backend> = backend.into();
        for stage in [Stage::Encode, Stage::Denoise, Stage::Decode] {
            let checkpoint = Checkpoint::open(Some(&root("assets/demo")), &Overrides::default())
                .expect("the demo opens");
            let mut pipeline =
                TextToVideo::new(backend.clone(), checkpoint, None, true).expect("a pipeline");
            let request = Request {
                prompt: "a red seven".into(),
                steps: Some(2),
                ..Request::default()
            };
            let mut frames = 0;
            let result = pipeline.generate(&request, &CancelAt(stage, Cancel::new()), &mut |_| {
                frames += 1;
                Ok(())
            });
            assert!(
                matches!(result, Err(Error::Cancelled)),
                "{stage} on {}",
                backend.info().device
            );
            assert_eq!(frames, 0, "{stage}");
        }
    }
}
