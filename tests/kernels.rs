//! The engine's operations on our own kernels, on the twin: right numbers in 16 bits, and nothing but the
//! kernels launched.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod devices;
mod twin_controls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ascendit::backend::reference::Reference;
use ascendit::backend::{Backend, run_once};
use ascendit::cann::{Arg, Cann, Context, KernelBinary, TwinSearch};
use ascendit::graph::{Builder, Graph, Mask, Op, Params, ResizeMode, RopePairs, Value};
use ascendit::tensor::{DType, HostTensor, numel};
use ascendit::weights::{OpenOptions, Weights};
use twin_controls::{live, logged};

/// Normalised mean square errors at most, as for the models' goldens.
const LIMITS: [(DType, f64); 2] = [(DType::F16, 1e-5), (DType::BF16, 3e-4)];

/// A library beside this program.
fn beside(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    program.with_file_name(name)
}

fn twin_library() -> String {
    let twin = beside("libascendit_cann_twin.so");
    twin.to_str().expect("a path in UTF-8").to_owned()
}

/// Launches are logged and faults set for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

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

/// A graph's weights and inputs: noise that is the same in f32 and in `dtype`.
struct Data {
    inputs: Vec<HostTensor>,
    weights: Arc<Weights>,
}

impl Data {
    fn new(graph: &Graph, dtype: DType, folder: &Path) -> Self {
        let input = |(i, port): (usize, &ascendit::graph::Port)| {
            let (of_port, shape) = graph.type_of(port.node);
            let count = numel(&shape);
            match of_port {
                // Lengths, at least 1.
                DType::I64 => {
                    HostTensor::i64(shape, (0..count as i64).map(|i| 1 + 4 * i).collect())
                }
                DType::F32 => HostTensor::f32(shape, noise(i as u64 + 7, count)),
                _ => HostTensor::f32(shape, noise(i as u64 + 7, count)).cast(dtype),
            }
        };
        let inputs = graph.inputs.iter().enumerate().map(input).collect();
        let mut tensors = BTreeMap::from([("unused".to_owned(), (vec![1], vec![0u8; 4]))]);
        for (i, weight) in graph.weights.iter().enumerate() {
            let values = noise(i as u64 + 100, numel(&weight.shape));
            let values = HostTensor::f32(weight.shape.clone(), values);
            let rounded = values.cast(dtype).cast(DType::F32);
            let entry = (weight.shape.clone(), rounded.as_bytes().to_vec());
            tensors.insert(weight.name.clone(), entry);
        }
        let views = tensors.iter().map(|(name, (shape, bytes))| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.expect("a tensor"))
        });
        let file = safetensors::serialize(views, None).expect("a file");
        let path = folder.join("weights.safetensors");
        std::fs::write(&path, file).expect("a written file");
        let weights = Weights::open(&path, &OpenOptions::default()).expect("weights");
        Self {
            inputs,
            weights: Arc::new(weights),
        }
    }
}

/// An operation, and the launches that it is in 16 bits.
struct Row {
    name: &'static str,
    launches: &'static [&'static str],
    build: for<'g> fn(&Params<'g>) -> Value<'g>,
}

fn graph(row: &Row, dtype: DType) -> Graph {
    let builder = Builder::new(dtype);
    let value = (row.build)(&Params::new(&builder));
    builder.finish([("y", value)])
}

fn input<'g>(p: &Params<'g>, name: &str, shape: &[usize]) -> Value<'g> {
    let builder = p.builder();
    builder.input(name, builder.compute_dtype(), shape)
}

fn check(rows: &[Row]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(twin) = devices::twin(true) else {
        return;
    };
    let reference = Reference::new();
    let mut failures = vec![];
    for row in rows {
        for (dtype, limit) in LIMITS {
            let place = format!("{} in {dtype}", row.name);
            let folder = tempfile::tempdir().expect("a folder");
            let narrow = graph(row, dtype);
            let data = Data::new(&narrow, dtype, folder.path());
            let wide: Vec<_> = data
                .inputs
                .iter()
                .map(|x| match x.dtype() == dtype {
                    true => x.cast(DType::F32),
                    false => x.clone(),
                })
                .collect();
            let weights = reference.load(Arc::clone(&data.weights)).expect("weights");
            let expected = run_once(&reference, &graph(row, DType::F32), &weights, &wide)
                .unwrap_or_else(|e| panic!("{place} on reference: {e}"));
            let weights = twin.load(Arc::clone(&data.weights)).expect("weights");
            let mut got = None;
            let log = logged(&twin_library(), || {
                got = Some(run_once(&twin, &narrow, &weights, &data.inputs));
            });
            let got = match got.expect("it ran") {
                Ok(got) => got[0].cast(DType::F32),
                Err(why) => {
                    failures.push(format!("{place}: {why}"));
                    continue;
                }
            };
            let launched: Vec<&str> = log.iter().filter_map(|line| line["op"].as_str()).collect();
            let name = |name: &&str| match name.starts_with("aclnn") {
                true => (*name).to_owned(),
                false => format!("{name}_{dtype}"),
            };
            let wanted: Vec<String> = row.launches.iter().map(name).collect();
            if launched != wanted {
                failures.push(format!(
                    "{place}: launched {launched:?}, expected {wanted:?}"
                ));
            }
            let error = nmse(got.as_f32(), expected[0].as_f32());
            if error.is_nan() || error > limit {
                failures.push(format!(
                    "{place}: normalised error {error:.2e}, at most {limit:e}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn nmse(got: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let pairs = got.iter().zip(expected);
    let error: f64 = pairs.map(|(g, e)| square(g - e)).sum();
    error / expected.iter().map(|e| square(*e)).sum::<f64>()
}

/// Row `i` of six of a modulation `[B, 6 · C]`, as `[B, 1, C]`.
fn modulation<'g>(p: &Params<'g>, batch: usize, channels: usize, i: usize) -> Value<'g> {
    let all = input(p, "modulation", &[batch, 6, channels]);
    all.slice(1, i, 1)
}

#[test]
fn modulation_and_residuals_are_one_kernel_each() {
    check(&[
        Row {
            name: "norm with scale and shift",
            launches: &["ada_layer_norm"],
            build: |p| {
                let all = input(p, "modulation", &[2, 6, 72]);
                let (shift, scale) = (all.slice(1, 0, 1), all.slice(1, 1, 1));
                input(p, "x", &[2, 37, 72]).ada_layer_norm(shift, scale, 1e-6)
            },
        },
        Row {
            name: "norm with scale and shift in f32",
            launches: &["ada_layer_norm"],
            build: |p| {
                let all = p.builder().input("modulation", DType::F32, [1, 6, 96]);
                let (shift, scale) = (all.slice(1, 0, 1), all.slice(1, 1, 1));
                let x = input(p, "x", &[1, 50, 96]);
                x.ada_layer_norm(shift, scale, 1e-6)
            },
        },
        Row {
            name: "residual with a gate",
            launches: &["gated_residual"],
            build: |p| {
                let (x, y) = (input(p, "x", &[2, 29, 80]), input(p, "y", &[2, 29, 80]));
                x + modulation(p, 2, 80, 2) * y
            },
        },
        Row {
            name: "residual without a gate",
            launches: &["gated_residual"],
            build: |p| input(p, "x", &[3, 7, 40]) + input(p, "y", &[3, 7, 40]),
        },
    ]);
}

/// `q`, `k` or `v` of a fused projection `[B, L, 3 · N · K]`.
fn head<'g>(all: Value<'g>, i: usize, [heads, channels]: [usize; 2]) -> Value<'g> {
    let width = heads * channels;
    let shape = [all.dim(0), all.dim(1), heads, channels];
    all.slice(2, i * width, width).reshape(shape)
}

fn tables<'g>(p: &Params<'g>, tokens: usize, half: usize) -> [Value<'g>; 2] {
    ["cos", "sin"].map(|name| p.builder().input(name, DType::F32, [tokens, half]))
}

#[test]
fn rotary_embedding_reads_heads_where_they_lie() {
    check(&[
        Row {
            name: "halves",
            launches: &["rope"],
            build: |p| {
                let [cos, sin] = tables(p, 19, 32);
                let all = input(p, "qkv", &[2, 19, 3 * 4 * 64]);
                head(all, 1, [4, 64]).rope(cos, sin, RopePairs::Halves)
            },
        },
        Row {
            name: "neighbours",
            launches: &["rope"],
            build: |p| {
                let [cos, sin] = tables(p, 19, 36);
                input(p, "x", &[2, 19, 2, 72]).rope(cos, sin, RopePairs::Neighbours)
            },
        },
        Row {
            name: "after a norm of the heads",
            launches: &["rope"],
            build: |p| {
                let [cos, sin] = tables(p, 19, 32);
                let all = input(p, "qkv", &[1, 19, 3 * 4 * 64]);
                let normed = head(all, 0, [4, 64]).rms_norm(p.weight("norm", &[64]), 1e-6);
                normed.rope(cos, sin, RopePairs::Halves)
            },
        },
    ]);
}

#[test]
fn attention_reads_heads_where_they_lie() {
    check(&[
        Row {
            name: "self attention",
            launches: &["attention"],
            build: |p| {
                let all = input(p, "qkv", &[2, 70, 3 * 2 * 72]);
                let [q, k, v] = [0, 1, 2].map(|i| head(all, i, [2, 72]));
                q.attention(k, v, 0.3, None)
            },
        },
        Row {
            name: "cross attention with lengths",
            launches: &["aclnnCast", "attention"],
            build: |p| {
                let q = input(p, "q", &[2, 33, 2, 64]);
                let (k, v) = (input(p, "k", &[2, 9, 2, 64]), input(p, "v", &[2, 9, 2, 64]));
                let lengths = p.builder().input("lengths", DType::I64, [2]);
                q.attention(k, v, 0.125, Some((Mask::KeyLengths, lengths)))
            },
        },
        Row {
            name: "cross attention with a summand",
            launches: &["attention"],
            build: |p| {
                let q = input(p, "q", &[2, 33, 2, 64]);
                let (k, v) = (input(p, "k", &[2, 9, 2, 64]), input(p, "v", &[2, 9, 2, 64]));
                let bias = p.builder().input("bias", DType::F32, [2, 1, 1, 9]);
                q.attention(k, v, 0.125, Some((Mask::Bias, bias)))
            },
        },
    ]);
}

fn norm<'g>(p: &Params<'g>, name: &str, x: Value<'g>, groups: Option<usize>) -> Value<'g> {
    let (p, c) = (p.at(name), x.dim(1));
    let (weight, bias) = (p.weight("weight", &[c]), p.weight("bias", &[c]));
    match groups {
        Some(groups) => x.group_norm(groups, 1e-6, weight, bias),
        None => x.layer_norm(1, 1e-6, Some((weight, bias))),
    }
}

fn conv<'g>(
    p: &Params<'g>,
    name: &str,
    x: Value<'g>,
    out: usize,
    cache: Option<Value<'g>>,
) -> Value<'g> {
    let p = p.at(name);
    let weight = p.weight("weight", &[out, x.dim(1), 3, 3, 3]);
    x.causal_conv3d(
        weight,
        Some(p.weight("bias", &[out])),
        cache,
        [1; 3],
        [(1, 1); 2],
    )
}

#[test]
fn values_of_the_vae_stay_channels_last() {
    check(&[
        Row {
            name: "layer norm and SiLU",
            launches: &["aclnnPermute", "norm_silu", "aclnnPermute"],
            build: |p| norm(p, "n", input(p, "x", &[2, 40, 3, 5, 7]), None).silu(),
        },
        Row {
            name: "group norm and SiLU",
            launches: &["aclnnPermute", "norm_silu", "aclnnPermute"],
            build: |p| norm(p, "n", input(p, "x", &[2, 64, 3, 5, 7]), Some(32)).silu(),
        },
        Row {
            name: "causal convolution with frames of a chunk before",
            launches: &[
                "aclnnPermute",
                "aclnnPermute",
                "causal_conv3d",
                "aclnnPermute",
            ],
            build: |p| {
                let cache = input(p, "cache", &[1, 16, 2, 6, 9]);
                conv(p, "c", input(p, "x", &[1, 16, 2, 6, 9]), 24, Some(cache))
            },
        },
        Row {
            name: "residual block",
            launches: &[
                "aclnnPermute",
                "norm_silu",
                "causal_conv3d",
                "norm_silu",
                "causal_conv3d",
                "aclnnPermute",
            ],
            build: |p| {
                let x = input(p, "x", &[1, 32, 3, 6, 9]);
                let h = conv(p, "c1", norm(p, "n1", x, Some(32)).silu(), 32, None);
                x + conv(p, "c2", norm(p, "n2", h, Some(32)).silu(), 32, None)
            },
        },
        Row {
            name: "convolution and enlargement of frames",
            launches: &[
                "aclnnPermute",
                "upsample",
                "causal_conv3d",
                "upsample",
                "aclnnPermute",
            ],
            build: |p| {
                let x = input(p, "x", &[3, 16, 5, 6]).resize(ResizeMode::Nearest, &[2, 2]);
                let weight = p.weight("weight", &[8, 16, 3, 3]);
                let h = x.conv(weight, None, &[1, 1], &[(1, 1), (1, 1)]);
                h.resize(ResizeMode::Linear, &[2, 2])
            },
        },
    ]);
}

#[test]
fn what_no_kernel_takes_goes_to_canns_operators() {
    check(&[
        Row {
            name: "attention with a summand per head",
            launches: &[
                "aclnnCast",
                "aclnnCast",
                "aclnnPermute",
                "aclnnPermute",
                "aclnnBatchMatMul",
                "aclnnMuls",
                "aclnnAdd",
                "aclnnSoftmax",
                "aclnnCast",
                "aclnnPermute",
                "aclnnBatchMatMul",
                "aclnnPermute",
            ],
            build: |p| {
                let [q, k, v] = ["q", "k", "v"].map(|name| input(p, name, &[1, 9, 2, 64]));
                let bias = p.builder().input("bias", DType::F32, [1, 2, 9, 9]);
                q.attention(k, v, 0.125, Some((Mask::Bias, bias)))
            },
        },
        Row {
            name: "convolution in groups",
            launches: &["aclnnConvolution"],
            build: |p| {
                let op = Op::Conv {
                    stride: vec![1, 1],
                    padding: vec![(1, 1); 2],
                    groups: 4,
                    bias: false,
                };
                let x = input(p, "x", &[1, 16, 5, 5]);
                x.apply(op, &[p.weight("weight", &[16, 4, 3, 3])])
            },
        },
    ]);
}

#[test]
fn a_fault_of_a_kernel_is_one_clear_error_and_the_next_launch_works() {
    use ascendit_kernels::vector::PerChannel;
    use ascendit_kernels::{Chip, gated_residual};

    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if devices::twin(true).is_none() {
        return;
    }
    let search = TwinSearch {
        named: Some(twin_library().into()),
        exe_dir: None,
    };
    let cann = Cann::open_twin(&search).expect("the twin");
    let context = Context::new(&cann, 0).expect("a device");
    let binary = KernelBinary::load(&context, &beside("libascendit_kernels.so")).expect("kernels");
    let chip = Chip::find("910B2").expect("a chip");
    let shape = [1, 8, 64];
    let plan = gated_residual::plan(shape, PerChannel::None, 0, "f16", chip).expect("a plan");
    let kernel = binary.kernel(&plan.kernel).expect("the kernel");
    let ones: Vec<u8> = [0x3c00u16; 512]
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let null = [0; 8];
    let launch = |bytes: usize| {
        let stream = context.stream()?;
        let buffers: Vec<_> = (0..3)
            .map(|_| context.alloc(bytes))
            .collect::<Result<_, _>>()?;
        for buffer in &buffers {
            stream.upload(&ones[..bytes], buffer, 0)?;
        }
        let [x, y, out] = [0, 1, 2].map(|i| Arg::Buffer(&buffers[i], 0));
        kernel.launch(
            plan.blocks,
            &[x, y, Arg::Bytes(&null), out, Arg::Bytes(&plan.tiling)],
            &stream,
        )?;
        stream.download(&buffers[2], 0, bytes)
    };
    let error = launch(512).expect_err("half of the memory").to_string();
    assert!(
        error.starts_with("twin:0: ")
            && error.contains("gated_residual_f16")
            && error.contains("copy.h:"),
        "{error}"
    );
    let sums = launch(1024).expect("all of the memory");
    assert!(sums.chunks(2).all(|sum| sum == 0x4000u16.to_le_bytes()));
    drop((kernel, binary, context, cann));
    assert_eq!(live(&twin_library()), "");
}
