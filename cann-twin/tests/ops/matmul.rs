use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;

/// Row-major `[m, k]` by `[k, n]`, and the size of what was added up.
fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    (0..m * n)
        .map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum())
        .collect()
}

/// f32 sums of `k` products up to 4 are off by about this.
fn slack(k: usize) -> f64 {
    4.0 * k as f64 * 2f64.powi(-23)
}

#[test]
fn matrices_are_multiplied_whatever_their_strides() {
    for [m, k, n] in [
        [1, 1, 1],
        [5, 7, 3],
        [33, 65, 17],
        [1, 96, 40],
        [130, 40, 257],
    ] {
        for dtype in FLOATS {
            for (i, lay) in LAYS.iter().enumerate() {
                let a = Array::random(dtype, &[m, k], *lay, 1);
                let b = Array::random(dtype, &[k, n], LAYS[(i + 1) % 4], 2);
                let z = Array::out(dtype, &[m, n], LAYS[(i + 2) % 4]);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e)
                    },
                    T.aclnnMatmul,
                );
                let wanted = product(&a.values, &b.values, [m, k, n]);
                close(
                    &format!("{m} {k} {n} {dtype} {lay:?}"),
                    &z.read(),
                    &wanted,
                    dtype,
                    slack(k),
                );
            }
        }
    }
}

#[test]
fn vectors_and_batches_follow_numpy() {
    type Case = (&'static [usize], &'static [usize], &'static [usize]);
    let cases: [Case; 7] = [
        (&[4], &[4], &[]),
        (&[4], &[4, 3], &[3]),
        (&[5, 4], &[4], &[5]),
        (&[2, 5, 4], &[4, 3], &[2, 5, 3]),
        (&[2, 1, 5, 4], &[3, 4, 6], &[2, 3, 5, 6]),
        (&[5, 4], &[2, 4, 3], &[2, 5, 3]),
        (&[2, 3, 5, 4], &[4], &[2, 3, 5]),
    ];
    for (a_shape, b_shape, out) in cases {
        for lay in LAYS {
            let a = Array::random(ACL_FLOAT16, a_shape, lay, 3);
            let b = Array::random(ACL_FLOAT16, b_shape, lay, 4);
            let z = Array::out(ACL_FLOAT16, out, lay);
            // SAFETY: all pointers are alive.
            run(
                |w, e| unsafe {
                    (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 1, w, e)
                },
                T.aclnnMatmul,
            );
            let [m, k] = if a_shape.len() == 1 {
                [1, 4]
            } else {
                [a_shape[a_shape.len() - 2], 4]
            };
            let n = if b_shape.len() == 1 {
                1
            } else {
                *b_shape.last().unwrap()
            };
            let lead = |s: &[usize]| s[..s.len().saturating_sub(2)].to_vec();
            let (a_lead, b_lead) = (lead(a_shape), lead(b_shape));
            let rank = a_lead.len().max(b_lead.len());
            let pad = |l: &[usize]| [vec![1; rank - l.len()], l.to_vec()].concat();
            let (a_lead, b_lead) = (pad(&a_lead), pad(&b_lead));
            let batch: Vec<_> = a_lead.iter().zip(&b_lead).map(|(a, b)| *a.max(b)).collect();
            let mut wanted = vec![];
            for i in 0..batch.iter().product::<usize>() {
                let place = |l: &[usize]| {
                    let (mut rest, mut at, mut size) = (i, 0, 1);
                    for axis in (0..rank).rev() {
                        at += if l[axis] == 1 {
                            0
                        } else {
                            rest % batch[axis] * size
                        };
                        rest /= batch[axis];
                        size *= l[axis];
                    }
                    at
                };
                let (a, b) = (
                    &a.values[place(&a_lead) * m * k..],
                    &b.values[place(&b_lead) * k * n..],
                );
                wanted.extend(product(a, b, [m, k, n]));
            }
            close(
                &format!("{a_shape:?} {b_shape:?} {lay:?}"),
                &z.read(),
                &wanted,
                ACL_FLOAT16,
                slack(4),
            );
        }
    }
}

#[test]
fn batches_of_matrices_are_multiplied() {
    for dtype in FLOATS {
        for lay in LAYS {
            let a = Array::random(dtype, &[6, 9, 5], lay, 5);
            let b = Array::random(dtype, &[6, 5, 11], lay, 6);
            let z = Array::out(dtype, &[6, 9, 11], lay);
            // SAFETY: all pointers are alive.
            run(
                |w, e| unsafe {
                    (T.aclnnBatchMatMulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e)
                },
                T.aclnnBatchMatMul,
            );
            let wanted: Vec<_> = (0..6)
                .flat_map(|i| product(&a.values[i * 45..], &b.values[i * 55..], [9, 5, 11]))
                .collect();
            close(
                &format!("{dtype} {lay:?}"),
                &z.read(),
                &wanted,
                dtype,
                slack(5),
            );
        }
    }
}

#[test]
fn a_bias_is_added_before_the_rounding_and_factors_after_it() {
    let [m, k, n] = [12, 20, 9];
    for dtype in FLOATS {
        for (bias, beta, alpha) in [
            (&[9][..], 1.0, 1.0),
            (&[1, 9], 1.0, 1.0),
            (&[12, 9], 1.0, 1.0),
            (&[12, 1], 0.5, 2.0),
            (&[9], 0.5, 1.0),
        ] {
            let c = Array::random(dtype, bias, Lay::Gaps, 7);
            let a = Array::random(dtype, &[m, k], Lay::Rows, 8);
            let b = Array::random(dtype, &[k, n], Lay::Swapped, 9);
            let z = Array::out(dtype, &[m, n], Lay::Rows);
            // SAFETY: all pointers are alive.
            run(
                |w, e| unsafe {
                    (T.aclnnAddmmGetWorkspaceSize)(
                        c.tensor,
                        a.tensor,
                        b.tensor,
                        scalar(beta),
                        scalar(alpha),
                        z.tensor,
                        0,
                        w,
                        e,
                    )
                },
                T.aclnnAddmm,
            );
            let mut wanted = product(&a.values, &b.values, [m, k, n]);
            let fused = bias.iter().product::<usize>() == n && beta == 1.0 && alpha == 1.0;
            let mut largest = 0f64;
            for (i, v) in wanted.iter_mut().enumerate() {
                let added = match bias {
                    [9] | [1, 9] => c.values[i % n],
                    [12, 1] => c.values[i / n],
                    _ => c.values[i],
                };
                largest = largest.max(v.abs());
                *v = f64::from(beta) * added + f64::from(alpha) * *v;
            }
            // Unless the bias is part of it, the product is rounded by itself.
            let twice = if fused {
                0.0
            } else {
                f64::from(alpha) * largest * unit(dtype)
            };
            close(
                &format!("{dtype} {bias:?} {beta} {alpha}"),
                &z.read(),
                &wanted,
                dtype,
                slack(k) + twice,
            );
        }
    }
}

#[test]
fn a_matrix_is_added_to_the_rounded_product_and_a_row_to_the_sums() {
    // 2049 lies between two f16 numbers and is rounded to 2048.
    let a = Array::new(ACL_FLOAT16, &[2, 2], Lay::Rows, &[2048., 1., 2048., 1.]);
    let b = Array::new(ACL_FLOAT16, &[2, 1], Lay::Rows, &[1., 1.]);
    for (bias, wanted) in [(&[1][..], 1.0), (&[2, 1], 0.0)] {
        let n = bias.iter().product();
        let c = Array::new(ACL_FLOAT16, bias, Lay::Rows, &vec![-2048.0; n]);
        let z = Array::out(ACL_FLOAT16, &[2, 1], Lay::Rows);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnAddmmGetWorkspaceSize)(
                    c.tensor,
                    a.tensor,
                    b.tensor,
                    scalar(1.0),
                    scalar(1.0),
                    z.tensor,
                    0,
                    w,
                    e,
                )
            },
            T.aclnnAddmm,
        );
        assert_eq!(z.read(), [wanted; 2]);
    }
}

#[test]
fn f32_is_hf32_where_that_is_allowed() {
    let near_one = 1.0 + 2f64.powi(-13);
    let a = Array::new(ACL_FLOAT, &[1, 1], Lay::Rows, &[near_one]);
    let b = Array::new(ACL_FLOAT, &[1, 1], Lay::Rows, &[3.0]);
    for (cube_math_type, wanted) in [(0, 3.0 * near_one), (1, 3.0)] {
        let z = Array::out(ACL_FLOAT, &[1, 1], Lay::Rows);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, cube_math_type, w, e)
            },
            T.aclnnMatmul,
        );
        assert_eq!(z.read(), [wanted]);
    }
}

#[test]
fn a_sum_of_nothing_is_zero() {
    let a = Array::new(ACL_FLOAT16, &[3, 0], Lay::Rows, &[]);
    let b = Array::new(ACL_FLOAT16, &[0, 2], Lay::Rows, &[]);
    let z = Array::out(ACL_FLOAT16, &[3, 2], Lay::Rows);
    // SAFETY: all pointers are alive.
    run(
        |w, e| unsafe { (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e) },
        T.aclnnMatmul,
    );
    assert_eq!(z.read(), [0.0; 6]);
}
