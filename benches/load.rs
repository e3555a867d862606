//! What stands between a command and its first step: opening weights, building and compiling the demo's
//! transformer, on `BENCH_DEVICE` (default `cpu`).

use std::path::Path;
use std::sync::Arc;

use ascendit::backend::open;
use ascendit::cancel::Cancel;
use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::models::DenoiserShape;
use ascendit::tensor::DType;
use criterion::{Criterion, criterion_group, criterion_main};

fn load(criterion: &mut Criterion) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
    let shape = DenoiserShape {
        batch: 2,
        latent: [5, 8, 8],
        text: 32,
    };
    let graph = || checkpoint.transformer.model.graph(&shape, DType::F32);
    criterion.bench_function("open checkpoint", |b| {
        b.iter(|| {
            Checkpoint::open(Some(&demo), &Overrides::default())
                .expect("the demo opens")
                .name
                .len()
        });
    });
    criterion.bench_function("open weights", |b| {
        b.iter(|| {
            checkpoint
                .transformer
                .weights()
                .expect("weights")
                .parameters()
        })
    });
    criterion.bench_function("build graph", |b| b.iter(|| graph().nodes.len()));
    let device = std::env::var("BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let device = device.parse().expect("a device");
    let backend = open::open(Some(device), &open::Options::default(), &Cancel::new())
        .expect("the device opens");
    let weights = checkpoint.transformer.weights().expect("weights");
    let weights = backend.load(Arc::new(weights)).expect("weights load");
    let graph = graph();
    criterion.bench_function("compile", |b| {
        b.iter(|| {
            backend
                .compile(&graph, &weights)
                .map(|_| ())
                .expect("it compiles")
        })
    });
}

criterion_group!(benches, load);
criterion_main!(benches);
