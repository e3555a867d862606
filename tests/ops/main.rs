//! Every operation on every backend against the reference backend: odd sizes, broadcasting, axes of
//! size 1, tails, every mask.

mod attention;
#[path = "../devices/mod.rs"]
mod devices;
mod norms;
mod spatial;

use std::sync::Arc;

use ascendit::backend::reference::Reference;
use ascendit::backend::{Backend, Device, DeviceWeights, run_once};
use ascendit::graph::{Builder, Graph, Op, Reduce, Unary, Value, cost};
use ascendit::nn::Regroup;
use ascendit::tensor::{DType, Data, HostTensor, numel};
use ascendit::weights::{OpenOptions, Weights};

/// Weights of a component that has none that matter.
fn no_weights(backend: &dyn Backend) -> DeviceWeights {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("weights.safetensors");
    let bytes = 0f32.to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &bytes)
        .expect("a tensor");
    let file = safetensors::serialize([("unused", view)], None).expect("a file");
    std::fs::write(&path, file).expect("a written file");
    let weights = Weights::open(&path, &OpenOptions::default()).expect("weights");
    backend.load(Arc::new(weights)).expect("loaded weights")
}

/// Numbers that look random, in [-1, 1).
fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A graph with inputs for it.
struct Case {
    name: &'static str,
    graph: Graph,
    inputs: Vec<HostTensor>,
}

/// A case of one output; the inputs are noise.
fn case(name: &'static str, build: impl for<'g> FnOnce(&'g Builder) -> Value<'g>) -> Case {
    let builder = Builder::new(DType::F32);
    let y = build(&builder);
    let graph = builder.finish([("y", y)]);
    let input = |(i, port): (usize, &ascendit::graph::Port)| {
        let (dtype, shape) = graph.type_of(port.node);
        let seed = i as u64 + 7;
        match dtype {
            DType::F32 => HostTensor::f32(shape.clone(), noise(seed, numel(&shape))),
            // Lengths and ids: small and at least 1.
            DType::I64 => {
                let n = numel(&shape) as i64;
                HostTensor::i64(shape, (0..n).map(|i| 1 + (5 * i) % 7).collect())
            }
            other => panic!("no noise of {other}"),
        }
    };
    let inputs = graph.inputs.iter().enumerate().map(input).collect();
    Case {
        name,
        graph,
        inputs,
    }
}

fn x<'g>(g: &'g Builder, shape: &[usize]) -> Value<'g> {
    g.input("x", DType::F32, shape)
}

fn operand<'g>(g: &'g Builder, name: &str, shape: &[usize]) -> Value<'g> {
    g.input(name, DType::F32, shape)
}

/// Compares every available backend with the reference, element by element.
fn check(cases: Vec<Case>) {
    let reference = Reference::new();
    let weights = no_weights(&reference);
    let backends = devices::available();
    let loaded: Vec<_> = backends.iter().map(|b| no_weights(b.as_ref())).collect();
    let mut failures = vec![];
    for case in &cases {
        let expected = run_once(&reference, &case.graph, &weights, &case.inputs)
            .unwrap_or_else(|e| panic!("{} on reference: {e}", case.name));
        for (backend, weights) in backends.iter().zip(&loaded) {
            let place = format!("{} on {}", case.name, backend.info().device);
            match run_once(backend.as_ref(), &case.graph, weights, &case.inputs) {
                Err(e) => failures.push(format!("{place}: {e}")),
                Ok(got) => failures.extend(
                    difference(&got[0], &expected[0], 1e-5).map(|d| format!("{place}: {d}")),
                ),
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Where two tensors differ by more than `limit` · max(1, max |expected|).
fn difference(got: &HostTensor, expected: &HostTensor, limit: f32) -> Option<String> {
    if (got.dtype(), got.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!("got {got:?}, expected {expected:?}"));
    }
    let (got, expected) = (got.cast(DType::F32), expected.cast(DType::F32));
    let (got, expected) = (got.as_f32(), expected.as_f32());
    let largest = expected.iter().fold(1f32, |m, e| m.max(e.abs()));
    // NaN is as wrong as a large difference.
    let wrong = |(g, e): (&f32, &f32)| g.is_nan() || (g - e).abs() > limit * largest;
    let at = got.iter().zip(expected).position(wrong)?;
    let worst = got
        .iter()
        .zip(expected)
        .map(|(g, e)| (g - e).abs())
        .fold(0f32, f32::max);
    Some(format!(
        "element {at} is {}, expected {}; largest difference {worst}",
        got[at], expected[at]
    ))
}

#[test]
fn functions_of_one_operand() {
    let all = [
        Unary::Neg,
        Unary::Exp,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Silu,
        Unary::Relu,
        Unary::Gelu,
        Unary::GeluTanh,
    ];
    let mut cases: Vec<Case> = all
        .into_iter()
        .map(|f| case(f.name(), |g| (x(g, &[3, 1, 37]) * 5.0).unary(f)))
        .collect();
    cases.extend([
        case("sqrt", |g| (x(g, &[7, 5]) + 1.5).unary(Unary::Sqrt)),
        case("affine", |g| x(g, &[5]).affine(-2.5, 0.25)),
        case("affine that does nothing", |g| x(g, &[5]).affine(1.0, 0.0)),
        case("a scalar", |g| x(g, &[]).affine(3.0, 1.0)),
    ]);
    check(cases);
}

fn pair<'g>(g: &'g Builder, (a, b): (&[usize], &[usize])) -> (Value<'g>, Value<'g>) {
    (x(g, a), operand(g, "b", b))
}

#[test]
fn functions_of_two_operands_broadcast() {
    let shapes: [(&[usize], &[usize]); 5] = [
        (&[3, 5], &[3, 5]),
        (&[2, 1, 7], &[3, 1]),
        (&[1], &[4, 3, 2]),
        (&[], &[3]),
        (&[2, 3, 1, 5], &[2, 1, 4, 1]),
    ];
    let mut cases = vec![];
    for shapes in shapes {
        cases.push(case("add", move |g| {
            let (a, b) = pair(g, shapes);
            a + b
        }));
        cases.push(case("sub", move |g| {
            let (a, b) = pair(g, shapes);
            a - b
        }));
        cases.push(case("mul", move |g| {
            let (a, b) = pair(g, shapes);
            a * b
        }));
        cases.push(case("div", move |g| {
            let (a, b) = pair(g, shapes);
            a / (b * 0.25 + 2.0)
        }));
    }
    check(cases);
}

#[test]
fn casts() {
    check(vec![
        case("to whole numbers and back", |g| {
            (x(g, &[9]) * 10.0).cast(DType::I64).cast(DType::F32)
        }),
        case("to itself", |g| x(g, &[9]).apply(Op::Cast(DType::F32), &[])),
    ]);
}

#[test]
fn products() {
    check(vec![
        case("linear", |g| {
            let w = operand(g, "w", &[11, 7]);
            x(g, &[2, 3, 7]).linear(w, Some(operand(g, "b", &[11])))
        }),
        case("linear of a matrix", |g| {
            x(g, &[5, 7]).linear(operand(g, "w", &[3, 7]), None)
        }),
        case("linear of a vector", |g| {
            let w = operand(g, "w", &[3, 7]);
            x(g, &[7]).linear(w, Some(operand(g, "b", &[3])))
        }),
        case("linear to one", |g| {
            x(g, &[1, 1, 65]).linear(operand(g, "w", &[1, 65]), None)
        }),
        case("linear of rank 4", |g| {
            let w = operand(g, "w", &[33, 17]);
            x(g, &[2, 1, 5, 17]).linear(w, Some(operand(g, "b", &[33])))
        }),
        case("matmul", |g| {
            x(g, &[2, 3, 5, 7]).matmul(operand(g, "b", &[2, 3, 7, 4]))
        }),
        case("matmul that broadcasts", |g| {
            x(g, &[4, 1, 5, 7]).matmul(operand(g, "b", &[3, 7, 4]))
        }),
        case("matmul with a transposed operand", |g| {
            let b = operand(g, "b", &[2, 3, 9, 7]);
            let op = Op::MatMul { transpose_b: true };
            x(g, &[2, 3, 5, 7]).apply(op, &[b])
        }),
        case("matmul with a transposed operand that broadcasts", |g| {
            let b = operand(g, "b", &[9, 7]);
            let op = Op::MatMul { transpose_b: true };
            x(g, &[2, 3, 5, 7]).apply(op, &[b])
        }),
    ]);
}

#[test]
fn reductions() {
    let mut cases = vec![];
    for (name, kind) in [
        ("mean", Reduce::Mean),
        ("sum", Reduce::Sum),
        ("max", Reduce::Max),
    ] {
        for axes in [&[0][..], &[2], &[0, 2], &[1, 3], &[0, 1, 2, 3], &[]] {
            cases.push(case(name, move |g| x(g, &[3, 4, 1, 5]).reduce(kind, axes)));
        }
    }
    check(cases);
}

#[test]
fn movement() {
    check(vec![
        case("reshape", |g| x(g, &[2, 3, 4]).reshape([6, 1, 4])),
        case("reshape to a scalar", |g| x(g, &[1, 1]).reshape([])),
        case("permute", |g| x(g, &[2, 3, 4, 5]).permute([3, 1, 0, 2])),
        case("permute of six axes", |g| {
            x(g, &[2, 1, 3, 2, 3, 2]).permute([0, 3, 5, 1, 2, 4])
        }),
        case("slice", |g| x(g, &[3, 7, 2]).slice(1, 2, 3)),
        case("slice of the last entry", |g| x(g, &[3, 7]).slice(1, 6, 1)),
        case("concat", |g| {
            let parts = [
                x(g, &[2, 1, 3]),
                operand(g, "b", &[2, 4, 3]),
                operand(g, "c", &[2, 2, 3]),
            ];
            g.concat(&parts, 1)
        }),
        case("concat with itself", |g| {
            let a = x(g, &[2, 3]);
            g.concat(&[a, a], 1)
        }),
        case("expand", |g| x(g, &[2, 1, 3, 1]).expand([2, 4, 3, 2])),
        case("expand to more axes", |g| x(g, &[3, 1]).expand([2, 3, 5])),
        case("pad", |g| x(g, &[2, 3, 4]).pad(1, 1, 2)),
        case("pad before", |g| x(g, &[2, 3, 4]).pad(0, 2, 0)),
        case("pad behind", |g| x(g, &[2, 3, 4]).pad(2, 0, 3)),
        case("gather", |g| {
            let ids = g.input("ids", DType::I64, [2, 3]);
            operand(g, "table", &[9, 5]).gather(ids)
        }),
        case("gather of one", |g| {
            let ids = g.input("ids", DType::I64, []);
            operand(g, "table", &[9, 5]).gather(ids)
        }),
        case("tokens in groups and back", |g| {
            let tokens = x(g, &[2, 11, 3]);
            let grouped = Regroup::Group(2).split(tokens) * 2.0;
            let merged = Regroup::Group(2).merge(grouped, 11);
            let single = Regroup::Single(2).split(merged) + 1.0;
            Regroup::Single(2).merge(single, 11)
        }),
    ]);
}

#[test]
fn a_value_that_is_many_things_at_once() {
    // An input that is an output, a constant that is one, and a value that is one twice.
    let reference = Reference::new();
    let builder = Builder::new(DType::F32);
    let x = builder.input("x", DType::F32, [3]);
    let c = builder.constant(HostTensor::f32([2], vec![4.0, 5.0]));
    let y = builder.scope("a", || x * 2.0);
    let z = builder.scope("b", || y + x);
    let graph = builder.finish([("x", x), ("c", c), ("y", y), ("again", y), ("z", z)]);
    let inputs = [HostTensor::f32([3], vec![1.0, 2.0, 3.0])];
    let expected =
        run_once(&reference, &graph, &no_weights(&reference), &inputs).expect("a reference run");
    assert_eq!(expected[3].as_f32(), [2.0, 4.0, 6.0]);
    for backend in devices::available() {
        let got = run_once(
            backend.as_ref(),
            &graph,
            &no_weights(backend.as_ref()),
            &inputs,
        );
        assert_eq!(got.expect("a run"), expected, "{}", backend.info().device);
    }
    assert!(cost::of_graph(&graph).flops > 0);
}

#[test]
fn every_dtype_goes_to_a_device_and_back() {
    let tensors = [
        Data::F64(vec![1.5, -2.0]),
        Data::F32(vec![1.5, -2.0]),
        Data::F16(vec![half::f16::from_f32(1.5), half::f16::NEG_ONE]),
        Data::BF16(vec![half::bf16::from_f32(1.5), half::bf16::NEG_ONE]),
        Data::I64(vec![1, -(1 << 40)]),
        Data::I32(vec![1, -2]),
        Data::U8(vec![1, 255]),
        Data::Bool(vec![true, false]),
    ];
    // The reference backend has f32 and i64 only.
    let all = devices::available();
    for backend in all.iter().filter(|b| b.info().device != Device::REFERENCE) {
        for data in &tensors {
            let tensor = HostTensor::new([1, 2], data.clone());
            let on_device = backend.upload(&tensor).expect("an upload");
            let back = backend.download(&on_device).expect("a download");
            assert_eq!(back, tensor, "{}", backend.info().device);
        }
    }
}
