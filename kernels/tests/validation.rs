//! The operators of `twin/validation` against their formulas in f64: what the timing model is judged by computes what it
//! says, without races.

#![cfg(target_os = "linux")]

use ascendit_kernels::twin::{Buffer, Launch, Memory, Modes, kernel};
use ascendit_kernels::{Chip, Operand, Plan, validation};
use half::f16;

fn chip() -> &'static Chip {
    Chip::find("910B2").unwrap()
}

/// Numbers in [-1, 1) that f16 holds.
fn numbers(count: u64, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f16::from_f64((state >> 33) as f64 / (1u64 << 30) as f64 - 1.0).to_f64()
    };
    (0..count).map(|_| next()).collect()
}

fn halves(values: &[f64]) -> Vec<u8> {
    let bits = values
        .iter()
        .map(|value| f16::from_f64(*value).to_le_bytes());
    bits.flatten().collect()
}

fn words(values: &[f64]) -> Vec<u8> {
    let bits = values.iter().map(|value| (*value as f32).to_le_bytes());
    bits.flatten().collect()
}

/// Launches a plan, computed and checked; operand `i` has the bytes `inputs[i]`, or what the plan says and is garbage.
fn run((plan, operands): (Plan, Vec<Operand>), inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut memory = Memory::default();
    let mut launch = Launch::new(chip().name, plan.blocks, Modes::CHECKED);
    let mut buffers: Vec<Buffer> = vec![];
    for (i, operand) in operands.iter().enumerate() {
        let Operand::Absent(bytes) = operand else {
            panic!("{operand:?}");
        };
        let buffer = match inputs.get(i) {
            Some(input) => {
                assert_eq!(input.len() as u64, *bytes, "operand {i}");
                memory.present(input)
            }
            None => memory.poisoned(*bytes),
        };
        launch.buffer(buffer, 0);
        buffers.push(buffer);
    }
    launch.tiling(&plan.tiling);
    launch
        .run(kernel(&plan.kernel).unwrap(), &mut memory)
        .unwrap();
    let bytes = |buffer: &Buffer| memory.bytes(*buffer).to_vec();
    buffers.iter().map(bytes).collect()
}

/// Every value within `tolerance`, absolute and relative.
fn agrees(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let far = (got - expected).abs();
        assert!(
            far <= tolerance * (1.0 + expected.abs()),
            "{what}: element {i} is {got}, expected {expected}"
        );
    }
}

fn of_halves(bytes: &[u8]) -> Vec<f64> {
    let pairs = bytes.chunks(2);
    pairs
        .map(|pair| f16::from_le_bytes(pair.try_into().unwrap()).to_f64())
        .collect()
}

fn of_words(bytes: &[u8]) -> Vec<f64> {
    let words = bytes.chunks(4);
    words
        .map(|word| f32::from_le_bytes(word.try_into().unwrap()).into())
        .collect()
}

/// `a [m, k]` times `b [n, k]`.
fn product(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    let row = |a| b.chunks(k).map(move |b| dot(a, b));
    a.chunks(k).flat_map(row).collect()
}

#[test]
fn matmul_is_the_product_also_at_edges() {
    for (m, k, n) in [(300, 200, 520), (16, 512, 64), (130, 1056, 272)] {
        let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
        let expected = product(&a, &b, k as usize);
        let plan = validation::matmul(m, k, n, "f16", chip()).unwrap();
        let out = run(plan, &[halves(&a), halves(&b)]);
        agrees("f16", &of_halves(&out[2]), &expected, 2e-3);
        let plan = validation::matmul(m, k, n, "f16_f32", chip()).unwrap();
        let out = run(plan, &[halves(&a), halves(&b)]);
        // Sums of a thousand terms, added up in f32.
        agrees("f16 to f32", &of_words(&out[2]), &expected, 5e-5);
        let plan = validation::matmul(m, k, n, "hf32", chip()).unwrap();
        let out = run(plan, &[words(&a), words(&b)]);
        agrees("hf32", &of_words(&out[2]), &expected, 1e-4);
    }
}

#[test]
fn elementwise_operators_compute_their_formulas() {
    let (rows, columns) = (301, 1152);
    let count = rows * columns;
    let (a, b, row) = (numbers(count, 3), numbers(count, 4), numbers(columns, 5));
    let pairs = || a.iter().zip(&b);
    let plan = validation::binary("add", rows, columns, false, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&a), halves(&b)]);
    let sums: Vec<_> = pairs().map(|(a, b)| a + b).collect();
    agrees("add", &of_halves(&out[2]), &sums, 1e-3);
    let plan = validation::binary("mul", rows, columns, true, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&a), halves(&row)]);
    let products = a.iter().zip(row.iter().cycle()).map(|(a, b)| a * b);
    agrees(
        "mul",
        &of_halves(&out[2]),
        &products.collect::<Vec<_>>(),
        1e-3,
    );
    let plan = validation::cast(count, "f32", "f32", chip()).unwrap();
    let out = run(plan, &[words(&a)]);
    assert!(out[0] == out[1], "a copy has the same bytes");
    let plan = validation::swiglu(rows, columns / 2, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&a)]);
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let gated = a.chunks(columns as usize).flat_map(|row| {
        let (x, y) = row.split_at(columns as usize / 2);
        x.iter().zip(y).map(move |(x, y)| silu(*x) * y)
    });
    agrees(
        "swiglu",
        &of_halves(&out[1]),
        &gated.collect::<Vec<_>>(),
        1e-3,
    );
}

#[test]
fn norms_compute_their_formulas() {
    let (rows, columns) = (100, 1160);
    let x = numbers(rows * columns, 6);
    let (other, gamma, beta) = (
        numbers(rows * columns, 7),
        numbers(columns, 8),
        numbers(columns, 9),
    );
    let norm = |x: &[f64], centred: bool| -> Vec<f64> {
        let normed = x.chunks(columns as usize).flat_map(|row| {
            let length = row.len() as f64;
            let mean = if centred {
                row.iter().sum::<f64>() / length
            } else {
                0.0
            };
            let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / length;
            let root = (square + 1e-6).sqrt();
            let shift = move |beta: f64| if centred { beta } else { 0.0 };
            row.iter()
                .zip(gamma.iter().zip(&beta))
                .map(move |(x, (g, b))| (x - mean) / root * g + shift(*b))
        });
        normed.collect()
    };
    let plan = validation::norm("rms_norm", rows, columns, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&x), halves(&gamma)]);
    agrees("rms", &of_halves(&out[2]), &norm(&x, false), 2e-3);
    let plan = validation::norm("layer_norm", rows, columns, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&x), halves(&gamma), halves(&beta)]);
    agrees("layer", &of_halves(&out[3]), &norm(&x, true), 2e-3);
    let plan = validation::norm("add_rms_norm", rows, columns, "f16", chip()).unwrap();
    let out = run(plan, &[halves(&x), halves(&other), halves(&gamma)]);
    let sum: Vec<_> = x.iter().zip(&other).map(|(a, b)| a + b).collect();
    agrees("sum", &of_halves(&out[4]), &sum, 1e-3);
    agrees("add_rms", &of_halves(&out[3]), &norm(&sum, false), 2e-3);
}

#[test]
fn transpose_turns_matrices() {
    let (batch, rows, columns) = (2usize, 128usize, 384usize);
    let x = numbers((batch * rows * columns) as u64, 10);
    let plan = validation::transpose(batch as u64, rows as u64, columns as u64, chip()).unwrap();
    let out = run(plan, &[halves(&x)]);
    let out = of_halves(&out[1]);
    let turned = (0..out.len()).map(|i| {
        let (matrix, column, row) = (i / (rows * columns), i / rows % columns, i % rows);
        x[matrix * rows * columns + row * columns + column]
    });
    assert!(out.iter().copied().eq(turned), "an element is elsewhere");
}

#[test]
fn attention_is_softmax_of_products_times_values() {
    for (heads, rows, keys, dim) in [(2, 200, 1100, 128), (3, 64, 512, 64)] {
        let q = numbers(heads * rows * dim, 11);
        let (k, v) = (
            numbers(heads * keys * dim, 12),
            numbers(heads * keys * dim, 13),
        );
        let plan = validation::attention(heads, rows, keys, dim, "f16", chip()).unwrap();
        let out = run(plan, &[halves(&q), halves(&k), halves(&v)]);
        let (dim, keys) = (dim as usize, keys as usize);
        let mut expected = vec![];
        for (head, q) in q.chunks(rows as usize * dim).enumerate() {
            let part = head * keys * dim..(head + 1) * keys * dim;
            let scores = product(q, &k[part.clone()], dim);
            for scores in scores.chunks(keys) {
                let weights = scores.iter().map(|s| (s * (dim as f64).powf(-0.5)).exp());
                let weights: Vec<_> = weights.collect();
                let total: f64 = weights.iter().sum();
                expected.extend((0..dim).map(|d| {
                    let column = v[part.clone()].iter().skip(d).step_by(dim);
                    weights.iter().zip(column).map(|(w, v)| w * v).sum::<f64>() / total
                }));
            }
        }
        agrees("attention", &of_halves(&out[3]), &expected, 2e-3);
    }
}
