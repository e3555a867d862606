//! What is written for CUDA is checked as far as a machine without a GPU can: ONNX Runtime reads the
//! models and finds their types and shapes right. It cannot run most of them on the CPU, which has
//! no kernels for 16 bits, and says so after that check.

use super::*;
use crate::backend::Device;
use crate::backend::onnx::environment::environment;
use crate::backend::onnx::library::{self, SearchEnv};
use crate::backend::onnx::session::Engine;
use crate::graph::{Builder, Mask, ResizeMode, RopePairs, Value};

/// An engine on the CPU; `None`, said aloud, where there is no library.
fn engine() -> Option<Engine> {
    let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
    let found = library::find(None, library::Provider::Cpu, &SearchEnv::from_env());
    match found {
        Ok(found) => {
            let environment = environment(Device::CPU, &found.path, 1).expect("an environment");
            Some(Engine::new(Device::CPU, Provider::Cpu, environment))
        }
        Err(why) => {
            assert!(!required.contains("cpu"), "cpu is required: {why}");
            eprintln!("skipped: cpu ({why})");
            None
        }
    }
}

const CUDA: Provider = Provider::Cuda { ordinal: 0 };

type Build = for<'g> fn(&'g Builder) -> Value<'g>;

fn input<'g>(g: &'g Builder, name: &str, shape: &[usize]) -> Value<'g> {
    g.input(name, g.compute_dtype(), shape)
}

fn attention<'g>(g: &'g Builder, mask: Mask, others: &[Value<'g>]) -> Value<'g> {
    let [q, k, v] = ["q", "k", "v"].map(|name| input(g, name, &[2, 8, 3, 16]));
    q.apply(
        Op::Attention { scale: 0.25, mask },
        &[&[k, v], others].concat(),
    )
}

const BUILDS: &[(&str, Build)] = &[
    ("functions", |g| {
        let x = input(g, "x", &[2, 3]);
        [
            Unary::Neg,
            Unary::Exp,
            Unary::Sqrt,
            Unary::Sin,
            Unary::Cos,
            Unary::Tanh,
            Unary::Sigmoid,
            Unary::Silu,
            Unary::Relu,
            Unary::Gelu,
            Unary::GeluTanh,
        ]
        .into_iter()
        .fold(x, |y, f| y.unary(f) * 0.5 + x / (y + 2.0) - x * y)
    }),
    ("linear", |g| {
        let (w, b) = (input(g, "w", &[5, 7]), input(g, "b", &[5]));
        input(g, "x", &[2, 3, 7]).linear(w, Some(b))
    }),
    ("matmul", |g| {
        input(g, "x", &[2, 3, 7]).matmul(input(g, "y", &[7, 2]))
    }),
    ("conv", |g| {
        let w = input(g, "w", &[4, 3, 3, 3]);
        input(g, "x", &[1, 3, 6, 6]).conv(w, None, &[1, 2], &[(1, 1), (0, 1)])
    }),
    ("causal conv", |g| {
        let (w, b) = (input(g, "w", &[4, 3, 3, 3, 3]), input(g, "b", &[4]));
        let x = input(g, "x", &[1, 3, 5, 6, 6]);
        let first = x.causal_conv3d(w, Some(b), None, [1; 3], [(1, 1); 2]);
        let cache = input(g, "cache", &[1, 3, 2, 6, 6]);
        first + x.causal_conv3d(w, Some(b), Some(cache), [1; 3], [(1, 1); 2])
    }),
    ("attention", |g| attention(g, Mask::None, &[])),
    ("causal attention", |g| attention(g, Mask::Causal, &[])),
    ("attention by lengths", |g| {
        let lengths = g.input("lengths", DType::I64, [2]);
        attention(g, Mask::KeyLengths, &[lengths])
    }),
    ("attention with a bias", |g| {
        let bias = g.input("bias", DType::F32, [2, 1, 1, 8]);
        attention(g, Mask::Bias, &[bias])
    }),
    ("attention by lengths beside a group norm", |g| {
        let lengths = g.input("lengths", DType::I64, [2]);
        let y = attention(g, Mask::KeyLengths, &[lengths]);
        y.group_norm(4, 1e-5, input(g, "w", &[8]), input(g, "b", &[8]))
    }),
    ("rope", |g| {
        let [cos, sin] = ["cos", "sin"].map(|name| g.input(name, DType::F32, [8, 8]));
        input(g, "x", &[2, 8, 3, 16]).rope(cos, sin, RopePairs::Neighbours)
    }),
    ("norms", |g| {
        let (w, b) = (input(g, "w", &[6]), input(g, "b", &[6]));
        let x = input(g, "x", &[2, 6, 6]);
        let y = x.layer_norm(2, 1e-5, Some((w, b))) + x.layer_norm(1, 1e-5, None);
        let [shift, scale] = ["shift", "scale"].map(|name| g.input(name, DType::F32, [2, 1, 6]));
        let y = y.ada_layer_norm(shift, scale, 1e-6).rms_norm(w, 1e-6);
        y.group_norm(3, 1e-5, w, b).softmax()
    }),
    ("reductions", |g| {
        let x = input(g, "x", &[2, 3, 4]);
        let y = x.reduce(Reduce::Mean, &[0, 2]) + x.reduce(Reduce::Sum, &[1]);
        y * x.reduce(Reduce::Max, &[0])
    }),
    ("movement", |g| {
        let x = input(g, "x", &[2, 1, 4]);
        let y = x.expand([2, 3, 4]).permute([1, 0, 2]).slice(0, 1, 2);
        let y = g.concat(&[y, y], 2).pad(1, 1, 2).reshape([2, 40]);
        let ids = g.input("ids", DType::I64, [3]);
        y.gather(ids).cast(DType::F32)
    }),
    ("enlargement", |g| {
        let x = input(g, "x", &[1, 2, 3, 4, 5]);
        let factors = &[2, 2, 2];
        x.resize(ResizeMode::Nearest, factors) + x.resize(ResizeMode::Linear, factors)
    }),
];

#[test]
fn every_operation_is_well_typed_for_cuda_in_every_dtype() {
    let Some(engine) = engine() else {
        return;
    };
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for (name, build) in BUILDS {
            let builder = Builder::new(dtype);
            let y = build(&builder);
            let graph = builder.finish([("y", y)]);
            let Err(why) = engine.compile(lower(&graph, CUDA, &[]), &[]) else {
                continue;
            };
            let why = why.to_string();
            assert!(
                why.contains("NOT_IMPLEMENTED") || why.contains("Could not find an implementation"),
                "{name} in {dtype}: {why}"
            );
        }
    }
}

#[test]
fn rows_by_length_take_the_operator_set_that_has_them_on_cuda_only() {
    let builder = Builder::new(DType::BF16);
    let lengths = builder.input("lengths", DType::I64, [2]);
    let y = attention(&builder, Mask::KeyLengths, &[lengths]);
    let graph = builder.finish([("y", y)]);
    let opset = |provider| lower(&graph, provider, &[]).model.opset_import[0].version;
    assert_eq!(opset(CUDA), Some(24));
    assert_eq!(opset(Provider::Cpu), Some(21));
}

#[test]
fn lengths_that_are_known_to_take_in_every_key_are_no_mask() {
    let nodes = |lengths: Vec<i64>| {
        let builder = Builder::new(DType::F32);
        let lengths = builder.constant(HostTensor::i64([2], lengths));
        let y = attention(&builder, Mask::KeyLengths, &[lengths]);
        let graph = builder.finish([("y", y)]);
        let model = lower(&graph, Provider::Cpu, &[]).model;
        model.graph.map_or(0, |graph| graph.node.len())
    };
    // Three reshapes, the attention, and its result's reshape.
    assert_eq!(nodes(vec![8, 8]), 5);
    assert!(nodes(vec![8, 7]) > 5);
}
