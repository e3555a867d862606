use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ffi::CString;
use std::ptr::null;

/// Sizes of one attention.
#[derive(Clone, Copy, Debug)]
struct Size {
    b: usize,
    n: usize,
    n_key: usize,
    q: usize,
    k: usize,
    d: usize,
}

/// `[B, N, L, K]` indices to the row-major place in a layout.
fn place(layout: &str, [b, n, s, d]: [usize; 4], [at_b, at_n, at_s, at_d]: [usize; 4]) -> usize {
    match layout {
        "BNSD" => ((at_b * n + at_n) * s + at_s) * d + at_d,
        "SBH" => ((at_s * b + at_b) * n + at_n) * d + at_d,
        _ => ((at_b * s + at_s) * n + at_n) * d + at_d,
    }
}

fn shape(layout: &str, [b, n, s, d]: [usize; 4]) -> Vec<usize> {
    match layout {
        "BSND" => vec![b, s, n, d],
        "BNSD" => vec![b, n, s, d],
        "BSH" => vec![b, s, n * d],
        _ => vec![s, b, n * d],
    }
}

/// What takes part in the softmax beside the products: by sample, head, query and key.
type Extra<'a> = dyn Fn(usize, usize, usize, usize) -> f64 + 'a;

struct Case<'a> {
    layout: &'a str,
    size: Size,
    scale: f64,
    shift: &'a Extra<'a>,
    shift_is_scaled: bool,
    /// Whether a score takes part.
    kept: &'a dyn Fn(usize, usize, usize, usize) -> bool,
}

/// The output in the layout, and maximum and sum of each row.
fn reference(case: &Case, q: &[f64], k: &[f64], v: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let Size {
        b,
        n,
        n_key,
        q: rows,
        k: keys,
        d,
    } = case.size;
    let mut out = vec![0.0; b * n * rows * d];
    let (mut maxima, mut sums) = (vec![], vec![]);
    for at_b in 0..b {
        for at_n in 0..n {
            let key_head = at_n / (n / n_key);
            for i in 0..rows {
                let scores: Vec<f64> = (0..keys)
                    .map(|j| {
                        let dot: f64 = (0..d)
                            .map(|e| {
                                q[place(case.layout, [b, n, rows, d], [at_b, at_n, i, e])]
                                    * k[place(
                                        case.layout,
                                        [b, n_key, keys, d],
                                        [at_b, key_head, j, e],
                                    )]
                            })
                            .sum();
                        let shift = (case.shift)(at_b, at_n, i, j);
                        let shifted = if case.shift_is_scaled {
                            (dot + shift) * case.scale
                        } else {
                            dot * case.scale + shift
                        };
                        if (case.kept)(at_b, at_n, i, j) {
                            shifted
                        } else {
                            f64::NEG_INFINITY
                        }
                    })
                    .collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<_> = scores.iter().map(|s| (s - max).exp()).collect();
                let sum: f64 = weights.iter().sum();
                maxima.extend([max; 8]);
                sums.extend([sum; 8]);
                for e in 0..d {
                    out[place(case.layout, [b, n, rows, d], [at_b, at_n, i, e])] = (0..keys)
                        .map(|j| {
                            weights[j] / sum
                                * v[place(case.layout, [b, n_key, keys, d], [at_b, key_head, j, e])]
                        })
                        .sum();
                }
            }
        }
    }
    (out, maxima, sums)
}

fn operands(dtype: aclDataType, layout: &str, s: Size, lay: Lay) -> [Array; 3] {
    let query = shape(layout, [s.b, s.n, s.q, s.d]);
    let key = shape(layout, [s.b, s.n_key, s.k, s.d]);
    [
        Array::random(dtype, &query, lay, 1),
        Array::random(dtype, &key, lay, 2),
        Array::random(dtype, &key, lay, 3),
    ]
}

const SIZES: [Size; 4] = [
    Size {
        b: 1,
        n: 1,
        n_key: 1,
        q: 1,
        k: 1,
        d: 16,
    },
    Size {
        b: 2,
        n: 3,
        n_key: 3,
        q: 5,
        k: 7,
        d: 24,
    },
    Size {
        b: 2,
        n: 4,
        n_key: 2,
        q: 33,
        k: 65,
        d: 16,
    },
    Size {
        b: 1,
        n: 2,
        n_key: 2,
        q: 300,
        k: 1100,
        d: 72,
    },
];

#[test]
fn flash_attention_is_right_in_every_layout() {
    for size in SIZES {
        for layout in ["BSND", "BSH", "BNSD", "SBH"] {
            for dtype in FLOATS {
                let lay = if layout == "BNSD" {
                    Lay::Swapped
                } else {
                    Lay::Gaps
                };
                let [q, k, v] = operands(dtype, layout, size, lay);
                let shift = Array::random(dtype, &[1, size.n, size.q, size.k], Lay::Rows, 4);
                let bits: Vec<_> = random(size.q * size.k, 5)
                    .iter()
                    .enumerate()
                    .map(|(i, v)| f64::from(u8::from(*v > 0.0 && i % size.k != 0)))
                    .collect();
                let mask = Array::new(ACL_BOOL, &[size.q, size.k], Lay::Rows, &bits);
                let out = Array::out(dtype, &q.shape, lay);
                let statistics = [size.b, size.n, size.q, 8];
                let max = Array::out(ACL_FLOAT, &statistics, Lay::Rows);
                let sum = Array::out(ACL_FLOAT, &statistics, Lay::Rows);
                let scale = 1.0 / (size.d as f64).sqrt();
                let name = CString::new(layout).unwrap();
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnFlashAttentionScoreGetWorkspaceSize)(
                            q.tensor,
                            k.tensor,
                            v.tensor,
                            shift.tensor,
                            null(),
                            null(),
                            mask.tensor,
                            null(),
                            scale,
                            1.0,
                            65536,
                            65536,
                            size.n as i64,
                            name.as_ptr().cast_mut(),
                            0,
                            0,
                            max.tensor,
                            sum.tensor,
                            null(),
                            out.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnFlashAttentionScore,
                );
                let case = Case {
                    layout,
                    size,
                    scale: f64::from(scale as f32),
                    shift: &|_, n, i, j| shift.values[(n * size.q + i) * size.k + j],
                    shift_is_scaled: true,
                    kept: &|_, _, i, j| bits[i * size.k + j] == 0.0,
                };
                let (wanted, maxima, sums) = reference(&case, &q.values, &k.values, &v.values);
                let what = format!("{layout} {dtype} {size:?}");
                close(&what, &out.read(), &wanted, dtype, 3e-6);
                close(&what, &max.read(), &maxima, ACL_FLOAT, 2e-5);
                close(
                    &what,
                    &sum.read(),
                    &sums,
                    ACL_FLOAT,
                    2e-5 * sums.iter().copied().fold(0.0, f64::max),
                );
            }
        }
    }
}

#[test]
fn prompt_attention_takes_lengths_and_masks() {
    // The second has more rows than are computed at a time.
    for (rows, second_rows) in [(9, 4), (300, 260)] {
        prompt(rows, second_rows);
    }
}

/// Two samples of `rows` queries, of which the second's last ones are not asked for.
fn prompt(q_rows: usize, second_rows: usize) {
    let size = Size {
        b: 2,
        n: 4,
        n_key: 2,
        q: q_rows,
        k: 21,
        d: 32,
    };
    for layout in ["BSND", "BSH", "BNSD"] {
        for dtype in [ACL_FLOAT16, ACL_BF16] {
            for three_axes in [false, true] {
                let [q, k, v] = operands(dtype, layout, size, Lay::Rows);
                // Wider than the scores, as a mask that is padded to whole blocks.
                let (rows, keys) = (q_rows + 3, 32);
                let bits: Vec<_> = random(2 * rows * keys, 6)
                    .iter()
                    .enumerate()
                    .map(|(i, v)| f64::from(u8::from(*v > 0.5 && i % keys != 0)))
                    .collect();
                let mask_shape = if three_axes {
                    vec![2, rows, keys]
                } else {
                    vec![2, 1, rows, keys]
                };
                let mask = Array::new(ACL_UINT8, &mask_shape, Lay::Rows, &bits);
                let shift = Array::random(dtype, &[2, 4, rows, keys], Lay::Rows, 7);
                let out = Array::out(dtype, &q.shape, Lay::Rows);
                let name = CString::new(layout).unwrap();
                let (query_lengths, key_lengths) =
                    (ints(&[q_rows as i64, second_rows as i64]), ints(&[13, 21]));
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnPromptFlashAttentionV3GetWorkspaceSize.unwrap())(
                            q.tensor,
                            k.tensor,
                            v.tensor,
                            shift.tensor,
                            mask.tensor,
                            query_lengths,
                            key_lengths,
                            null(),
                            null(),
                            null(),
                            null(),
                            null(),
                            4,
                            0.25,
                            65536,
                            65536,
                            name.as_ptr().cast_mut(),
                            2,
                            0,
                            1,
                            out.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnPromptFlashAttentionV3.unwrap(),
                );
                let case = Case {
                    layout,
                    size,
                    scale: 0.25,
                    shift: &|b, n, i, j| shift.values[((b * 4 + n) * rows + i) * keys + j],
                    shift_is_scaled: false,
                    kept: &|b, _, i, j| j < [13, 21][b] && bits[(b * rows + i) * keys + j] == 0.0,
                };
                let (mut wanted, _, _) = reference(&case, &q.values, &k.values, &v.values);
                for n in 0..4 {
                    for i in second_rows..q_rows {
                        for e in 0..32 {
                            wanted[place(layout, [2, 4, q_rows, 32], [1, n, i, e])] = 0.0;
                        }
                    }
                }
                close(
                    &format!("{layout} {dtype}"),
                    &out.read(),
                    &wanted,
                    dtype,
                    3e-6,
                );
            }
        }
    }
}

#[test]
fn a_row_with_all_scores_masked_is_a_mean_or_zero() {
    let size = Size {
        b: 1,
        n: 1,
        n_key: 1,
        q: 2,
        k: 4,
        d: 16,
    };
    let [q, k, v] = operands(ACL_FLOAT, "BNSD", size, Lay::Rows);
    let mask = Array::new(
        ACL_BOOL,
        &[2, 4],
        Lay::Rows,
        &[1., 1., 1., 1., 0., 1., 1., 1.],
    );
    for inner_precise in [0, 2] {
        let out = Array::out(ACL_FLOAT, &q.shape, Lay::Rows);
        let max = Array::out(ACL_FLOAT, &[1, 1, 2, 8], Lay::Rows);
        let sum = Array::out(ACL_FLOAT, &[1, 1, 2, 8], Lay::Rows);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnFlashAttentionScoreGetWorkspaceSize)(
                    q.tensor,
                    k.tensor,
                    v.tensor,
                    null(),
                    null(),
                    null(),
                    mask.tensor,
                    null(),
                    1.0,
                    1.0,
                    65536,
                    65536,
                    1,
                    c"BNSD".as_ptr().cast_mut(),
                    inner_precise,
                    0,
                    max.tensor,
                    sum.tensor,
                    null(),
                    out.tensor,
                    w,
                    e,
                )
            },
            T.aclnnFlashAttentionScore,
        );
        let mean = |e: usize| (0..4).map(|j| v.values[j * 16 + e]).sum::<f64>() / 4.0;
        let row = |e: usize| if inner_precise == 2 { 0.0 } else { mean(e) };
        let wanted: Vec<_> = (0..16)
            .map(row)
            .chain(v.values[..16].iter().copied())
            .collect();
        close("masked", &out.read(), &wanted, ACL_FLOAT, 1e-6);
    }
}

#[test]
fn softmax_runs_along_any_axis() {
    for dtype in FLOATS {
        for (dim, axis) in [(-1, 3), (0, 0), (2, 2)] {
            for (i, lay) in LAYS.iter().enumerate() {
                let x = Array::random(dtype, &[3, 5, 33, 7], *lay, 8);
                let out = Array::out(dtype, &[3, 5, 33, 7], LAYS[(i + 1) % 4]);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnSoftmaxGetWorkspaceSize)(x.tensor, dim, out.tensor, w, e)
                    },
                    T.aclnnSoftmax,
                );
                let step: usize = x.shape[axis + 1..].iter().product();
                let n = x.shape[axis];
                let wanted: Vec<_> = (0..x.values.len())
                    .map(|i| {
                        let first = i - i / step % n * step;
                        let sum: f64 = (0..n).map(|j| x.values[first + j * step].exp()).sum();
                        x.values[i].exp() / sum
                    })
                    .collect();
                close(
                    &format!("{dtype} {dim} {lay:?}"),
                    &out.read(),
                    &wanted,
                    dtype,
                    1e-6,
                );
            }
        }
    }
}
