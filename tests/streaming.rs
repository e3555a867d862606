//! Decoding in chunks equals decoding at once.

mod devices;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ascendit::backend::{Backend, DeviceTensor, DeviceWeights, Watch};
use ascendit::cancel::Cancel;
use ascendit::graph::cost;
use ascendit::models::{Chunk, chunks, config, wf_vae};
use ascendit::tensor::{DType, HostTensor, numel};
use ascendit::weights::{OpenOptions, Weights};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn slice(latent: &HostTensor, start: usize, len: usize) -> HostTensor {
    let &[b, c, t, h, w] = latent.shape() else {
        panic!("five axes")
    };
    let plane = h * w;
    let of = |i: usize| latent.as_f32()[(i * t + start) * plane..][..len * plane].to_vec();
    HostTensor::f32([b, c, len, h, w], (0..b * c).flat_map(of).collect())
}

/// The video `[3, T, H, W]` frame by frame, decoded by a plan of chunks.
fn decode(
    backend: &dyn Backend,
    weights: &DeviceWeights,
    config: &wf_vae::Config,
    latent: &HostTensor,
    plan: &[Chunk],
) -> Vec<Vec<f32>> {
    let (h, w) = (latent.shape()[3], latent.shape()[4]);
    let (mut state, mut frames, mut start): (Vec<DeviceTensor>, _, _) = (vec![], vec![], 0);
    let cancel = Cancel::new();
    for &chunk in plan {
        let graph = wf_vae::decoder(config, chunk, [1, h, w], DType::F32);
        let mut program = backend.compile(&graph, weights).expect("it compiles");
        let input = backend
            .upload(&slice(latent, start, chunk.frames))
            .expect("upload");
        start += chunk.frames;
        let inputs = std::iter::once(input).chain(state.drain(..)).collect();
        let mut outputs = program
            .run(inputs, &Watch::quiet(&cancel))
            .expect("it runs")
            .into_iter();
        let video = backend
            .download(&outputs.next().expect("a video"))
            .expect("download");
        state = outputs.collect();
        let &[_, c, t, h, w] = video.shape() else {
            panic!("five axes")
        };
        for i in 0..t {
            frames.push(
                (0..c)
                    .flat_map(|c| video.as_f32()[(c * t + i) * h * w..][..h * w].to_vec())
                    .collect(),
            );
        }
    }
    assert!(state.is_empty(), "the last chunk keeps nothing");
    frames
}

fn check(config: &wf_vae::Config, weights: &Path, latent: &HostTensor) {
    for backend in devices::available() {
        let file = Weights::open(weights, &OpenOptions::default()).expect("weights");
        let loaded = backend.load(Arc::new(file)).expect("weights load");
        let t = latent.shape()[2];
        let whole = decode(
            backend.as_ref(),
            &loaded,
            config,
            latent,
            &[Chunk::whole(t)],
        );
        assert_eq!(whole.len(), 4 * (t - 1) + 1);
        for chunk in 1..=t {
            let streamed = decode(backend.as_ref(), &loaded, config, latent, &chunks(t, chunk));
            assert_eq!(streamed.len(), whole.len(), "chunk {chunk}");
            let difference = |a: &Vec<f32>, b: &Vec<f32>| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max)
            };
            let worst = whole
                .iter()
                .zip(&streamed)
                .map(|(a, b)| difference(a, b))
                .fold(0.0, f32::max);
            assert!(
                worst <= 1e-4,
                "chunk {chunk} on {}: {worst}",
                backend.info().device
            );
        }
    }
}

fn noise(shape: [usize; 5]) -> HostTensor {
    HostTensor::f32(
        shape,
        ascendit::samplers::Generator::new(5).randn(numel(&shape)),
    )
}

#[test]
fn frames_do_not_depend_on_the_chunk() {
    let dir = data("wfvae-v1.3");
    let config: wf_vae::Config = config::read(&dir.join("config.json")).expect("a config");
    let weights = dir.join("weights.safetensors");
    for frames in [2, 3, 6] {
        check(&config, &weights, &noise([1, 4, frames, 3, 4]));
    }
}

#[test]
fn frames_do_not_depend_on_the_chunk_with_repeated_frames_in_time() {
    let dir = data("wfvae-v1.3");
    let path = dir.join("config.json");
    let mut value = config::read_json(&path).expect("a config");
    value["t_interpolation"] = "nearest".into();
    let config: wf_vae::Config = config::parse(&path, &value).expect("a config");
    check(
        &config,
        &dir.join("weights.safetensors"),
        &noise([1, 4, 5, 2, 3]),
    );
}

#[test]
fn a_chunk_costs_the_same_whatever_the_length_of_the_video() {
    let mut config = wf_vae::Config::default();
    config.norm_type = "layernorm".into();
    let middle = Chunk {
        frames: 2,
        first: false,
        last: false,
    };
    let peak = |chunk| {
        cost::peak_activation_bytes(&wf_vae::decoder(&config, chunk, [1, 16, 16], DType::F32))
    };
    for frames in [9, 33, 129] {
        let plan = chunks(frames, 2);
        assert!(
            plan[1..plan.len() - 1].iter().all(|chunk| *chunk == middle),
            "{plan:?}"
        );
    }
    assert!(peak(middle) < peak(Chunk::whole(33)) / 3);
}
