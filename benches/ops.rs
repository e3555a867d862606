//! Single operations in shapes that occur in models, on `BENCH_DEVICE` (default `cpu`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ascendit::backend::{Backend, Watch, open};
use ascendit::cancel::Cancel;
use ascendit::graph::{Builder, Graph, cost};
use ascendit::tensor::{DType, HostTensor, numel};
use ascendit::weights::{OpenOptions, Weights};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn backend() -> Arc<dyn Backend> {
    let device = std::env::var("BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    open::open(
        Some(device.parse().expect("a device")),
        &open::Options::default(),
        &Cancel::new(),
    )
    .expect("the device opens")
}

/// Operations under the names of the places where they occur.
fn cases() -> Vec<(&'static str, Graph)> {
    let f32 = DType::F32;
    let linear = |rows: usize, inner: usize, out: usize| {
        let g = Builder::new(f32);
        let x = g.input("x", f32, [1, rows, inner]);
        let w = g.input("w", f32, [out, inner]);
        g.finish([("y", x.linear(w, None))])
    };
    let attention = |queries: usize, keys: usize, heads: usize, size: usize| {
        let g = Builder::new(f32);
        let q = g.input("q", f32, [2, queries, heads, size]);
        let k = g.input("k", f32, [2, keys, heads, size]);
        let v = g.input("v", f32, [2, keys, heads, size]);
        g.finish([("y", q.attention(k, v, (size as f32).powf(-0.5), None))])
    };
    let conv = |channels: usize, frames: usize, size: usize| {
        let g = Builder::new(f32);
        let x = g.input("x", f32, [1, channels, frames, size, size]);
        let w = g.input("w", f32, [channels, channels, 3, 3, 3]);
        g.finish([("y", x.causal_conv3d(w, None, None, [1; 3], [(1, 1); 2]))])
    };
    let norm = |channels: usize, frames: usize, size: usize| {
        let g = Builder::new(f32);
        let x = g.input("x", f32, [1, channels, frames, size, size]);
        let (w, b) = (g.input("w", f32, [channels]), g.input("b", f32, [channels]));
        g.finish([("y", x.layer_norm(1, 1e-6, Some((w, b))))])
    };
    vec![
        ("open_sora_plan.ff_up", linear(2640, 768, 3072)),
        ("open_sora_plan.self_attention", attention(660, 660, 8, 96)),
        (
            "open_sora_plan.cross_attention",
            attention(2640, 300, 8, 96),
        ),
        ("wf_vae.conv_128", conv(128, 4, 64)),
        ("wf_vae.norm_128", norm(128, 4, 64)),
    ]
}

fn ops(criterion: &mut Criterion) {
    let backend = backend();
    let none =
        Weights::from_bytes(empty_safetensors(), &OpenOptions::default()).expect("no weights");
    let weights = backend.load(Arc::new(none)).expect("no weights load");
    let cancel = Cancel::new();
    let mut group = criterion.benchmark_group(backend.info().device.to_string());
    group
        .measurement_time(Duration::from_secs(3))
        .sample_size(10);
    for (name, graph) in cases() {
        let inputs: Vec<_> = graph
            .inputs
            .iter()
            .map(|p| filled(&graph.node(p.node).shape))
            .collect();
        let inputs: Vec<_> = inputs
            .iter()
            .map(|t| backend.upload(t).expect("upload"))
            .collect();
        let mut program = backend
            .compile(&graph, &weights)
            .expect("the graph compiles");
        group.throughput(Throughput::Elements(cost::of_graph(&graph).flops));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| {
                let began = Instant::now();
                for _ in 0..n {
                    program
                        .run(inputs.clone(), &Watch::quiet(&cancel))
                        .expect("it runs");
                }
                backend.synchronize().expect("it finishes");
                began.elapsed()
            });
        });
    }
}

fn filled(shape: &[usize]) -> HostTensor {
    HostTensor::f32(
        shape,
        (0..numel(shape))
            .map(|i| (i % 97) as f32 / 97.0 - 0.5)
            .collect(),
    )
}

fn empty_safetensors() -> Vec<u8> {
    let mut bytes = 2u64.to_le_bytes().to_vec();
    bytes.extend(b"{}");
    bytes
}

criterion_group!(benches, ops);
criterion_main!(benches);
