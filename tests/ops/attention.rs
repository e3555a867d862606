//! Attention with every mask, and rotary embedding.

use ascendit::graph::{Builder, Mask, Op, RopePairs, Value};
use ascendit::tensor::{DType, HostTensor};

use super::{case, check, operand, x};

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
