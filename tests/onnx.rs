//! What is particular to the ONNX Runtime backend: weights that are mapped, converted or streamed,
//! state that stays on the device, cancelling, messages.

mod devices;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ascendit::backend::onnx::{OnnxBackend, OnnxOptions};
use ascendit::backend::reference::Reference;
use ascendit::backend::{Backend, Device, DeviceWeights, Watch, run_once};
use ascendit::cancel::Cancel;
use ascendit::graph::{Builder, Graph, Params, ViewStep};
use ascendit::tensor::{DType, HostTensor, numel};
use ascendit::weights::{OpenOptions, Weights};

fn backend(options: &OnnxOptions) -> Option<OnnxBackend> {
    devices::onnx(Device::CPU, options)
        .map_err(|why| devices::skip("cpu", &why))
        .ok()
}

/// A file of the given tensors; values are small whole numbers, which every dtype holds.
fn weights(tensors: &[(&str, DType, &[usize])]) -> Arc<Weights> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("weights.safetensors");
    let bytes: HashMap<&str, HostTensor> = tensors
        .iter()
        .map(|(name, dtype, shape)| {
            let values = (0..numel(shape)).map(|i| ((i * 7) % 11) as f32 - 5.0);
            let tensor = HostTensor::f32(*shape, values.collect()).cast(*dtype);
            (*name, tensor)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let dtype = match dtype {
            DType::F32 => safetensors::Dtype::F32,
            DType::F16 => safetensors::Dtype::F16,
            DType::BF16 => safetensors::Dtype::BF16,
            other => panic!("no file of {other}"),
        };
        let bytes = bytes[name].as_bytes();
        let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), bytes);
        (*name, view.expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("a file");
    std::fs::write(&path, file).expect("a written file");
    Arc::new(Weights::open(&path, &OpenOptions::default()).expect("weights"))
}

/// Blocks of one kind over weights of several dtypes and views, behind a table of which rows are
/// picked.
fn model() -> Graph {
    let g = Builder::new(DType::F32);
    let p = Params::new(&g);
    let ids = g.input("ids", DType::I64, [5]);
    let mut x = g.scope("embed", || p.weight("table", &[9, 4]).gather(ids));
    for i in 0..3 {
        x = g.scope(format!("blocks.{i}"), || {
            let p = p.at(i);
            let reversed = [
                ViewStep::Split {
                    axis: 0,
                    sizes: vec![2, 2],
                },
                ViewStep::Permute(vec![1, 0, 2]),
            ];
            let turned = p.weight_viewed("turned", &[4, 4], &reversed);
            let y = x.linear(p.weight("w", &[4, 4]), Some(p.weight("b", &[4])));
            y.linear(turned, None) * 0.01 + x
        });
    }
    g.finish([("y", x)])
}

fn model_weights(dtype: DType) -> Arc<Weights> {
    let names: Vec<[String; 3]> = (0..3)
        .map(|i| ["w", "b", "turned"].map(|name| format!("{i}.{name}")))
        .collect();
    let mut tensors: Vec<(&str, DType, &[usize])> = vec![("table", dtype, &[9, 4])];
    for [w, b, turned] in &names {
        tensors.extend([
            (w.as_str(), dtype, &[4, 4][..]),
            (b.as_str(), DType::F32, &[4][..]),
            (turned.as_str(), dtype, &[4, 4][..]),
        ]);
    }
    weights(&tensors)
}

#[test]
fn weights_of_any_dtype_and_view_give_the_same_whether_packed_mapped_or_streamed() {
    let ids = [HostTensor::i64([5], vec![0, 8, 3, 3, 1])];
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let file = model_weights(dtype);
        let reference = Reference::new();
        let expected = run_once(
            &reference,
            &model(),
            &reference.load(file.clone()).expect("loaded"),
            &ids,
        );
        let expected = expected.expect("a reference run");
        // In f32, all weights take 432 bytes and the turned ones, which are no part of the file,
        // 192.
        for weight_memory_bytes in [None, Some(200), Some(0)] {
            let options = OnnxOptions {
                weight_memory_bytes,
                ..OnnxOptions::default()
            };
            let Some(backend) = backend(&options) else {
                return;
            };
            let loaded = backend.load(file.clone()).expect("loaded");
            let got = run_once(&backend, &model(), &loaded, &ids).expect("a run");
            assert_eq!(got, expected, "{dtype} {weight_memory_bytes:?}");
        }
    }
}

#[test]
fn an_output_goes_back_in_without_leaving_the_device() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    let g = Builder::new(DType::F32);
    let state = g.input("state", DType::F32, [2, 2]);
    let graph = g.finish([("next", state * 2.0 + 1.0)]);
    let mut program = backend
        .compile(&graph, &no_weights(&backend))
        .expect("a program");
    let first = backend.upload(&HostTensor::f32([2, 2], vec![0.0, 1.0, 2.0, 3.0]));
    let first = first.expect("an upload");
    let cancel = Cancel::new();
    let mut states = vec![first];
    for _ in 0..3 {
        let last = states.last().expect("a state").clone();
        let next = program
            .run(vec![last], &Watch::quiet(&cancel))
            .expect("a run");
        states.extend(next);
    }
    let values = |i: usize| backend.download(&states[i]).expect("a download");
    assert_eq!(values(0).as_f32(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(values(2).as_f32(), [3.0, 7.0, 11.0, 15.0]);
    assert_eq!(values(3).as_f32(), [7.0, 15.0, 23.0, 31.0]);
}

fn no_weights(backend: &dyn Backend) -> DeviceWeights {
    let unused = weights(&[("unused", DType::F32, &[1])]);
    backend.load(unused).expect("loaded")
}

#[test]
fn segments_are_reported_as_they_end() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    let loaded = backend.load(model_weights(DType::F32)).expect("loaded");
    let mut program = backend.compile(&model(), &loaded).expect("a program");
    let ids = HostTensor::i64([5], vec![0; 5]);
    let ids = backend.upload(&ids).expect("an upload");
    let seen = std::sync::Mutex::new(vec![]);
    let watch = Watch {
        cancel: &Cancel::new(),
        on_segment: &|done, all| seen.lock().expect("a lock").push((done, all)),
    };
    program.run(vec![ids], &watch).expect("a run");
    assert_eq!(
        seen.into_inner().expect("values"),
        [(1, 4), (2, 4), (3, 4), (4, 4)]
    );
}

#[test]
fn a_program_stops_within_a_segment_and_runs_again() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    // One segment of many products that takes far longer than the test waits.
    let g = Builder::new(DType::F32);
    let x = g.input("x", DType::F32, [1024, 1024]);
    let product = (0..2000).fold(x, |y, _| y.matmul(x));
    let graph = g.finish([("y", product)]);
    let mut program = backend
        .compile(&graph, &no_weights(&backend))
        .expect("a program");
    let zeros = HostTensor::zeros(DType::F32, [1024, 1024]);
    let x = backend.upload(&zeros).expect("an upload");
    for _ in 0..2 {
        let cancel = Cancel::new();
        let started = Instant::now();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                cancel.cancel();
            });
            program.run(vec![x.clone()], &Watch::quiet(&cancel))
        });
        let error = result.expect_err("a stop");
        assert_eq!(error.to_string(), "cancelled");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_program_that_is_cancelled_before_it_starts_runs_nothing() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    let loaded = backend.load(model_weights(DType::F32)).expect("loaded");
    let mut program = backend.compile(&model(), &loaded).expect("a program");
    let ids = backend
        .upload(&HostTensor::i64([5], vec![0; 5]))
        .expect("an upload");
    let cancel = Cancel::new();
    cancel.cancel();
    let segments = AtomicUsize::new(0);
    let watch = Watch {
        cancel: &cancel,
        on_segment: &|_, _| {
            segments.fetch_add(1, Ordering::Relaxed);
        },
    };
    let error = program.run(vec![ids], &watch).expect_err("a stop");
    assert_eq!(error.to_string(), "cancelled");
    assert_eq!(segments.into_inner(), 0);
}

#[test]
fn a_failure_names_the_device_and_the_segment() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    let loaded = backend.load(model_weights(DType::F32)).expect("loaded");
    let ids = [HostTensor::i64([5], vec![0, 9, 0, 0, 0])];
    let error = run_once(&backend, &model(), &loaded, &ids).expect_err("id 9 of 9 rows");
    let message = error.to_string();
    assert!(message.starts_with("cpu: embed: "), "{message}");
    assert!(
        message.contains("indices element out of data bounds, idx=9"),
        "{message}"
    );
}

#[test]
fn dtypes_that_a_device_cannot_compute_in_are_told_with_those_it_can() {
    let Some(backend) = backend(&OnnxOptions::default()) else {
        return;
    };
    assert_eq!(backend.compute_dtype(None).expect("a dtype"), DType::F32);
    let error = backend
        .compute_dtype(Some(DType::BF16))
        .expect_err("no bf16");
    assert_eq!(
        error.to_string(),
        "cpu: cannot compute in bf16, only in f32; leave out --dtype or pass one of these"
    );
}

#[test]
fn a_second_library_in_one_process_is_refused() {
    if backend(&OnnxOptions::default()).is_none() {
        return;
    }
    let loaded = std::env::var("ORT_DYLIB_PATH").expect("a library");
    let other = OnnxBackend::new(
        Device::CPU,
        Path::new("/nowhere/libonnxruntime.so"),
        &OnnxOptions::default(),
    );
    assert_eq!(
        other.err().expect("an error").to_string(),
        format!(
            "cpu: cannot load ONNX Runtime from /nowhere/libonnxruntime.so: this process has loaded \
             it from {loaded}"
        )
    );
}
