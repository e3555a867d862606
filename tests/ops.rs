//! Every operation on every backend against the reference backend: odd sizes, broadcasting, axes of
//! size 1, tails, every mask.

mod devices;

use std::sync::Arc;

use ascendit::backend::reference::Reference;
use ascendit::backend::{Backend, Device, DeviceWeights, run_once};
use ascendit::graph::{
    Builder, Graph, Mask, Op, Reduce, ResizeMode, RopePairs, Unary, Value, cost,
};
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
fn convolutions() {
    check(vec![
        case("conv1d", |g| {
            let w = operand(g, "w", &[4, 3, 3]);
            x(g, &[2, 3, 9]).conv(w, Some(operand(g, "b", &[4])), &[2], &[(1, 1)])
        }),
        case("conv2d", |g| {
            let w = operand(g, "w", &[5, 3, 3, 3]);
            let b = Some(operand(g, "b", &[5]));
            x(g, &[2, 3, 7, 6]).conv(w, b, &[1, 1], &[(1, 1), (1, 1)])
        }),
        case("conv2d with uneven padding and stride", |g| {
            let w = operand(g, "w", &[8, 16, 3, 2]);
            x(g, &[1, 16, 9, 10]).conv(w, None, &[2, 3], &[(0, 1), (2, 0)])
        }),
        case("conv2d in groups", |g| {
            let op = Op::Conv {
                stride: vec![1, 1],
                padding: vec![(1, 1), (1, 1)],
                groups: 3,
                bias: true,
            };
            let (w, b) = (operand(g, "w", &[6, 2, 3, 3]), operand(g, "b", &[6]));
            x(g, &[1, 6, 5, 5]).apply(op, &[w, b])
        }),
        case("conv2d of one channel each", |g| {
            let op = Op::Conv {
                stride: vec![1, 1],
                padding: vec![(1, 1), (1, 1)],
                groups: 16,
                bias: false,
            };
            x(g, &[1, 16, 5, 5]).apply(op, &[operand(g, "w", &[16, 1, 3, 3])])
        }),
        case("conv3d", |g| {
            let w = operand(g, "w", &[4, 3, 2, 3, 3]);
            let b = Some(operand(g, "b", &[4]));
            let padding = [(1, 0), (1, 1), (1, 1)];
            x(g, &[2, 3, 4, 5, 6]).conv(w, b, &[1, 2, 1], &padding)
        }),
        case("conv3d of frames", |g| {
            let w = operand(g, "w", &[4, 3, 1, 3, 3]);
            let padding = [(0, 0), (1, 1), (0, 1)];
            x(g, &[1, 3, 4, 5, 6]).conv(w, None, &[1, 2, 2], &padding)
        }),
        case("conv3d of points", |g| {
            let w = operand(g, "w", &[4, 3, 1, 1, 1]);
            let b = Some(operand(g, "b", &[4]));
            x(g, &[2, 3, 4, 5, 6]).conv(w, b, &[1, 1, 1], &[(0, 0); 3])
        }),
    ]);
}

#[test]
fn causal_convolutions() {
    let conv = |name,
                x_shape: [usize; 5],
                w_shape: [usize; 5],
                bias: bool,
                cached: bool,
                stride,
                padding| {
        case(name, move |g| {
            let w = operand(g, "w", &w_shape);
            let bias = bias.then(|| operand(g, "b", &w_shape[..1]));
            let [b, c, _, h, wd] = x_shape;
            let cache = cached.then(|| operand(g, "cache", &[b, c, w_shape[2] - 1, h, wd]));
            x(g, &x_shape).causal_conv3d(w, bias, cache, stride, padding)
        })
    };
    let same = [(1, 1), (1, 1)];
    check(vec![
        conv(
            "first chunk",
            [1, 4, 3, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "later chunk",
            [1, 4, 2, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
        conv(
            "one frame",
            [1, 4, 1, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "one later frame",
            [1, 4, 1, 6, 5],
            [8, 4, 3, 3, 3],
            false,
            true,
            [1; 3],
            same,
        ),
        conv(
            "two rows",
            [2, 3, 4, 5, 7],
            [5, 3, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
        conv(
            "two rows, no cache",
            [2, 3, 4, 5, 7],
            [5, 3, 3, 3, 3],
            false,
            false,
            [1; 3],
            same,
        ),
        conv(
            "frames only",
            [1, 3, 4, 5, 7],
            [5, 3, 1, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "frames only, two rows",
            [2, 16, 4, 5, 7],
            [8, 16, 1, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "points",
            [1, 3, 4, 5, 7],
            [5, 3, 1, 1, 1],
            true,
            false,
            [1; 3],
            [(0, 0); 2],
        ),
        conv(
            "time only",
            [1, 3, 5, 4, 4],
            [5, 3, 3, 1, 1],
            true,
            true,
            [1; 3],
            [(0, 0); 2],
        ),
        conv(
            "strides",
            [1, 3, 5, 6, 6],
            [5, 3, 3, 3, 3],
            true,
            false,
            [2, 2, 2],
            [(0, 1), (0, 1)],
        ),
        conv(
            "strides in time",
            [1, 3, 5, 4, 4],
            [5, 3, 3, 1, 1],
            true,
            false,
            [2, 1, 1],
            [(0, 0); 2],
        ),
        conv(
            "Haar",
            [1, 3, 4, 6, 6],
            [1, 3, 2, 2, 2],
            false,
            true,
            [2; 3],
            [(0, 0); 2],
        ),
        conv(
            "wide",
            [1, 32, 3, 9, 11],
            [24, 32, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
    ]);
}

/// `(q, k, v)` of the given sizes.
fn qkv(g: &Builder, b: usize, l: usize, s: usize, n: usize, k: usize, v: usize) -> [Value<'_>; 3] {
    [
        operand(g, "q", &[b, l, n, k]) * 3.0,
        operand(g, "k", &[b, s, n, k]) * 3.0,
        operand(g, "v", &[b, s, n, v]),
    ]
}

#[test]
fn attention_without_a_mask() {
    let plain = |name, [b, l, s, n, k, v]: [usize; 6]| {
        case(name, move |g| {
            let [q, k, v] = qkv(g, b, l, s, n, k, v);
            q.attention(k, v, 0.3, None)
        })
    };
    check(vec![
        plain("self", [2, 17, 17, 3, 8, 8]),
        plain("cross", [2, 9, 21, 2, 12, 12]),
        plain("one query", [2, 1, 33, 2, 8, 8]),
        plain("one key", [1, 5, 1, 2, 8, 8]),
        plain("long", [1, 300, 520, 1, 24, 24]),
        plain("odd head", [1, 7, 11, 3, 5, 5]),
        plain("wide values", [1, 7, 11, 2, 8, 20]),
        plain("narrow values", [1, 7, 11, 2, 20, 8]),
    ]);
}

#[test]
fn attention_with_key_lengths() {
    let by_length = |name, [b, l, s, n, k, v]: [usize; 6]| {
        case(name, move |g| {
            let [q, k, v] = qkv(g, b, l, s, n, k, v);
            let lengths = g.input("lengths", DType::I64, [b]);
            q.attention(k, v, 0.3, Some((Mask::KeyLengths, lengths)))
        })
    };
    check(vec![
        by_length("lengths", [3, 9, 8, 2, 12, 12]),
        by_length("lengths, long", [2, 70, 600, 2, 16, 16]),
        by_length("lengths, one query", [2, 1, 9, 2, 8, 8]),
        by_length("lengths, wide values", [2, 6, 9, 2, 8, 24]),
    ]);
}

#[test]
fn attention_with_a_bias() {
    let biased = |name, [b, l, s, n, k]: [usize; 5], bias: [usize; 4], factor: f32| {
        case(name, move |g| {
            let [q, k, v] = qkv(g, b, l, s, n, k, k);
            let bias = operand(g, "bias", &bias) * factor;
            q.attention(k, v, 0.3, Some((Mask::Bias, bias)))
        })
    };
    let cases = vec![
        biased("per key", [2, 9, 21, 3, 8], [2, 1, 1, 21], 4.0),
        biased("per key, all rows", [2, 9, 21, 3, 8], [1, 1, 1, 21], 4.0),
        biased("full", [2, 9, 21, 3, 8], [2, 3, 9, 21], 4.0),
        biased("per head", [2, 9, 21, 3, 8], [1, 3, 9, 21], 4.0),
        biased("per head and key", [2, 9, 21, 3, 8], [1, 3, 1, 21], 4.0),
        biased("per query", [2, 9, 21, 3, 8], [2, 1, 9, 1], 4.0),
        biased("one number", [2, 9, 21, 3, 8], [1, 1, 1, 1], 4.0),
        biased("queries and keys", [2, 9, 21, 3, 8], [1, 1, 9, 21], 4.0),
        case("large penalties", |g| {
            let [q, k, v] = qkv(g, 2, 5, 8, 2, 8, 8);
            let hide = |i: usize| if i % 8 > 2 + i / 8 { -10000.0 } else { 0.0 };
            let bias = HostTensor::f32([2, 1, 1, 8], (0..16).map(hide).collect());
            q.attention(k, v, 0.3, Some((Mask::Bias, g.constant(bias))))
        }),
        case("the largest penalties", |g| {
            let [q, k, v] = qkv(g, 2, 5, 8, 2, 8, 8);
            let hide = |i: usize| if i % 8 > 2 + i / 8 { f32::MIN } else { 0.0 };
            let bias = HostTensor::f32([2, 1, 1, 8], (0..16).map(hide).collect());
            q.attention(k, v, 0.3, Some((Mask::Bias, g.constant(bias))))
        }),
        case("hidden keys first", |g| {
            let [q, k, v] = qkv(g, 1, 5, 800, 2, 8, 8);
            let hide = |i: usize| if i < 700 { -1e30 } else { 0.0 };
            let bias = HostTensor::f32([1, 1, 1, 800], (0..800).map(hide).collect());
            q.attention(k, v, 0.3, Some((Mask::Bias, g.constant(bias))))
        }),
    ];
    check(cases);
}

#[test]
fn causal_attention() {
    let causal = |name, [b, l, s, n, k, v]: [usize; 6]| {
        case(name, move |g| {
            let [q, k, v] = qkv(g, b, l, s, n, k, v);
            let op = Op::Attention {
                scale: 0.4,
                mask: Mask::Causal,
            };
            q.apply(op, &[k, v])
        })
    };
    check(vec![
        causal("square", [2, 19, 19, 3, 8, 8]),
        causal("one token", [2, 1, 1, 3, 8, 8]),
        causal("more keys", [1, 5, 9, 2, 8, 8]),
        causal("more queries", [1, 9, 5, 2, 8, 8]),
        causal("wide values", [1, 9, 9, 2, 8, 16]),
    ]);
}

#[test]
fn rotary_embedding() {
    let rope = |name, [b, l, n, k]: [usize; 4], pairs| {
        case(name, move |g| {
            let (cos, sin) = (
                operand(g, "cos", &[l, k / 2]),
                operand(g, "sin", &[l, k / 2]),
            );
            x(g, &[b, l, n, k]).rope(cos, sin, pairs)
        })
    };
    check(vec![
        rope("halves", [2, 7, 3, 12], RopePairs::Halves),
        rope("neighbours", [2, 7, 3, 12], RopePairs::Neighbours),
        rope("one head", [1, 5, 1, 16], RopePairs::Halves),
        rope("one pair", [3, 5, 2, 2], RopePairs::Neighbours),
        rope("one token", [2, 1, 2, 6], RopePairs::Halves),
        rope("many tokens", [1, 700, 2, 48], RopePairs::Halves),
    ]);
}

#[test]
fn normalisations() {
    let layer = |name, shape: &'static [usize], axis: usize, affine: bool| {
        case(name, move |g| {
            let affine = affine.then(|| {
                let size = &shape[axis..=axis];
                (operand(g, "w", size), operand(g, "b", size))
            });
            (x(g, shape) * 3.0 + 1.0).layer_norm(axis, 1e-5, affine)
        })
    };
    let group = |name, shape: &'static [usize], groups| {
        case(name, move |g| {
            let (w, b) = (operand(g, "w", &shape[1..2]), operand(g, "b", &shape[1..2]));
            (x(g, shape) * 3.0 + 1.0).group_norm(groups, 1e-6, w, b)
        })
    };
    let ada = |name, b: usize| {
        case(name, move |g| {
            let (shift, scale) = (
                operand(g, "shift", &[b, 1, 24]),
                operand(g, "scale", &[b, 1, 24]),
            );
            x(g, &[b, 7, 24]).ada_layer_norm(shift, scale, 1e-6)
        })
    };
    check(vec![
        layer("layer norm", &[2, 5, 33], 2, true),
        layer("layer norm without weights", &[2, 5, 33], 2, false),
        layer("layer norm over channels", &[2, 6, 3, 5, 7], 1, true),
        layer(
            "layer norm over channels of one row",
            &[1, 16, 3, 4, 4],
            1,
            true,
        ),
        layer(
            "layer norm over channels without weights",
            &[1, 6, 3, 5],
            1,
            false,
        ),
        layer("layer norm over the first axis", &[6, 5], 0, true),
        layer("layer norm of a vector", &[17], 0, true),
        ada("adaptive layer norm", 2),
        ada("adaptive layer norm of one row", 1),
        case("rms norm", |g| {
            x(g, &[2, 3, 19]).rms_norm(operand(g, "w", &[19]), 1e-6)
        }),
        case("rms norm of heads", |g| {
            x(g, &[2, 3, 4, 16]).rms_norm(operand(g, "w", &[16]), 1e-6)
        }),
        group("group norm", &[2, 8, 3, 5, 4], 4),
        group("group norm of one group", &[1, 6, 7], 1),
        group("group norm of a matrix", &[3, 6], 2),
        group("group norm of images", &[1, 32, 9, 9], 32),
        case("softmax", |g| (x(g, &[2, 3, 17]) * 20.0).softmax()),
        case("softmax of one", |g| x(g, &[3, 1]).softmax()),
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
fn enlargement() {
    let mut cases = vec![];
    for (name, mode) in [
        ("nearest", ResizeMode::Nearest),
        ("linear", ResizeMode::Linear),
    ] {
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[2, 3, 5], &[2]),
            (&[1, 2, 3, 4], &[2, 2]),
            (&[2, 3, 4, 3], &[1, 3]),
            (&[2, 3, 4, 3], &[3, 1]),
            (&[2, 3, 4, 3, 2], &[1, 2, 2]),
            (&[1, 2, 3, 4, 5], &[2, 1, 1]),
            (&[2, 2, 3, 4, 3], &[2, 2, 2]),
            (&[1, 2, 1, 1, 3], &[2, 2, 2]),
            (&[1, 2, 3, 3], &[1, 1]),
        ];
        for (shape, factors) in shapes {
            cases.push(case(name, move |g| x(g, shape).resize(mode, factors)));
        }
    }
    check(cases);
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
