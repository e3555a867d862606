use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ptr::{null, null_mut};

/// Mean and factor of a row.
fn moments(row: &[f64], eps: f64) -> (f64, f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[test]
fn layer_norm_takes_weights_of_either_type_and_gives_its_moments() {
    for dtype in FLOATS {
        for weights in [ACL_FLOAT, dtype] {
            for (shape, axes) in [
                (&[6, 33][..], 1),
                (&[2, 3, 4, 5], 2),
                (&[1, 3000], 1),
                (&[65, 640], 1),
            ] {
                for lay in [Lay::Rows, Lay::Gaps, Lay::Reversed] {
                    let last = &shape[shape.len() - axes..];
                    let x = Array::random(dtype, shape, lay, 1);
                    let weight = Array::random(weights, last, Lay::Rows, 2);
                    let bias = Array::random(weights, last, Lay::Rows, 3);
                    let out = Array::out(dtype, shape, lay);
                    let rows = &shape[..shape.len() - axes];
                    let moments_shape = [rows, &vec![1; axes]].concat();
                    let mean = Array::out(ACL_FLOAT, &moments_shape, Lay::Rows);
                    let rstd = Array::out(ACL_FLOAT, &moments_shape, Lay::Rows);
                    let normalized: Vec<_> = last.iter().map(|&n| n as i64).collect();
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            (T.aclnnLayerNormGetWorkspaceSize)(
                                x.tensor,
                                ints(&normalized),
                                weight.tensor,
                                bias.tensor,
                                1e-5,
                                out.tensor,
                                mean.tensor,
                                rstd.tensor,
                                w,
                                e,
                            )
                        },
                        T.aclnnLayerNorm,
                    );
                    let n: usize = last.iter().product();
                    let (mut wanted, mut means, mut factors) = (vec![], vec![], vec![]);
                    for row in x.values.chunks(n) {
                        let (mean, factor) = moments(row, 1e-5);
                        wanted.extend(
                            row.iter()
                                .zip(&weight.values)
                                .zip(&bias.values)
                                .map(|((v, w), b)| (v - mean) * factor * w + b),
                        );
                        means.push(mean);
                        factors.push(factor);
                    }
                    let what = format!("{dtype} {weights} {shape:?} {lay:?}");
                    close(&what, &out.read(), &wanted, dtype, 1e-5);
                    close(&what, &mean.read(), &means, ACL_FLOAT, 1e-6);
                    close(&what, &rstd.read(), &factors, ACL_FLOAT, 1e-5);
                    // And without all that may be missing.
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            (T.aclnnLayerNormGetWorkspaceSize)(
                                x.tensor,
                                ints(&normalized),
                                null(),
                                null(),
                                1e-5,
                                out.tensor,
                                null_mut(),
                                null_mut(),
                                w,
                                e,
                            )
                        },
                        T.aclnnLayerNorm,
                    );
                    let wanted: Vec<_> = x
                        .values
                        .chunks(n)
                        .zip(means.iter().zip(&factors))
                        .flat_map(|(row, (m, f))| row.iter().map(move |v| (v - m) * f))
                        .collect();
                    close(&what, &out.read(), &wanted, dtype, 1e-5);
                }
            }
        }
    }
}

#[test]
fn rms_norm_divides_by_the_root_of_the_mean_square() {
    for dtype in FLOATS {
        for weights in [ACL_FLOAT, dtype] {
            for lay in [Lay::Rows, Lay::Gaps, Lay::Reversed] {
                let shape = [3, 5, 72];
                let x = Array::random(dtype, &shape, lay, 4);
                let gamma = Array::random(weights, &[72], Lay::Rows, 5);
                let out = Array::out(dtype, &shape, lay);
                let rstd = Array::out(ACL_FLOAT, &[3, 5, 1], Lay::Rows);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnRmsNormGetWorkspaceSize)(
                            x.tensor,
                            gamma.tensor,
                            1e-6,
                            out.tensor,
                            rstd.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnRmsNorm,
                );
                let factors: Vec<_> = x
                    .values
                    .chunks(72)
                    .map(|r| 1.0 / (r.iter().map(|v| v * v).sum::<f64>() / 72.0 + 1e-6).sqrt())
                    .collect();
                let wanted: Vec<_> = x
                    .values
                    .chunks(72)
                    .zip(&factors)
                    .flat_map(|(r, f)| r.iter().zip(&gamma.values).map(move |(v, g)| v * f * g))
                    .collect();
                close(
                    &format!("{dtype} {weights} {lay:?}"),
                    &out.read(),
                    &wanted,
                    dtype,
                    1e-5,
                );
                close(
                    &format!("{dtype} {weights} {lay:?}"),
                    &rstd.read(),
                    &factors,
                    ACL_FLOAT,
                    1e-6,
                );
            }
        }
    }
}

#[test]
fn group_norm_has_weights_per_channel() {
    for dtype in FLOATS {
        for (shape, groups) in [
            (&[2, 6, 35][..], 3),
            (&[1, 8, 3, 5, 7], 8),
            (&[2, 4], 2),
            (&[1, 32, 41, 43], 32),
        ] {
            for lay in [Lay::Rows, Lay::Gaps, Lay::Reversed] {
                let (n, c) = (shape[0], shape[1]);
                let inner: usize = shape[2..].iter().product();
                let x = Array::random(dtype, shape, lay, 6);
                let gamma = Array::random(dtype, &[c], Lay::Rows, 7);
                let beta = Array::random(dtype, &[c], Lay::Rows, 8);
                let out = Array::out(dtype, shape, lay);
                let mean = Array::out(dtype, &[n, groups], Lay::Rows);
                let rstd = Array::out(dtype, &[n, groups], Lay::Rows);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnGroupNormGetWorkspaceSize)(
                            x.tensor,
                            gamma.tensor,
                            beta.tensor,
                            n as i64,
                            c as i64,
                            inner as i64,
                            groups as i64,
                            1e-6,
                            out.tensor,
                            mean.tensor,
                            rstd.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnGroupNorm,
                );
                let row = c / groups * inner;
                let (mut wanted, mut means, mut factors) = (vec![], vec![], vec![]);
                for (i, values) in x.values.chunks(row).enumerate() {
                    let (mean, factor) = moments(values, 1e-6);
                    for (j, v) in values.iter().enumerate() {
                        let channel = i % groups * (c / groups) + j / inner;
                        wanted.push(
                            (v - mean) * factor * gamma.values[channel] + beta.values[channel],
                        );
                    }
                    means.push(mean);
                    factors.push(factor);
                }
                let what = format!("{dtype} {shape:?} {lay:?}");
                // Two elements that are nearly equal are divided by nearly nothing.
                let largest = factors.iter().copied().fold(1.0, f64::max);
                close(&what, &out.read(), &wanted, dtype, 1e-5 * largest);
                close(&what, &mean.read(), &means, dtype, 1e-6);
                close(
                    &what,
                    &rstd.read(),
                    &factors,
                    dtype,
                    1e-5 * largest * largest,
                );
            }
        }
    }
}

#[test]
fn reductions_take_any_axes() {
    let shape = [3, 4, 5, 6];
    for dtype in FLOATS {
        for dims in [&[3][..], &[-1, 0], &[1], &[], &[0, 1, 2, 3], &[2, 1]] {
            for keep in [true, false] {
                for lay in LAYS {
                    let x = Array::random(dtype, &shape, lay, 9);
                    let axes: Vec<usize> = if dims.is_empty() {
                        (0..4).collect()
                    } else {
                        dims.iter()
                            .map(|&d: &i64| d.rem_euclid(4) as usize)
                            .collect()
                    };
                    let kept: Vec<usize> = (0..4)
                        .map(|a| if axes.contains(&a) { 1 } else { shape[a] })
                        .collect();
                    let n: usize = axes.iter().map(|&a| shape[a]).product();
                    let mut groups = vec![vec![]; kept.iter().product()];
                    for (i, v) in x.values.iter().enumerate() {
                        let (mut rest, mut at, mut size) = (i, 0, 1);
                        for a in (0..4).rev() {
                            at += if axes.contains(&a) {
                                0
                            } else {
                                rest % shape[a] * size
                            };
                            rest /= shape[a];
                            size *= kept[a];
                        }
                        groups[at].push(*v);
                    }
                    let out_shape: Vec<usize> = if keep {
                        kept
                    } else {
                        (0..4)
                            .filter(|a| !axes.contains(a))
                            .map(|a| shape[a])
                            .collect()
                    };
                    let what = format!("{dtype} {dims:?} {keep} {lay:?}");
                    let sums: Vec<f64> = groups.iter().map(|g| g.iter().sum()).collect();
                    for to in [dtype, ACL_FLOAT] {
                        let out = Array::out(to, &out_shape, lay);
                        // SAFETY: all pointers are alive.
                        run(
                            |w, e| unsafe {
                                (T.aclnnReduceSumGetWorkspaceSize)(
                                    x.tensor,
                                    ints(dims),
                                    keep,
                                    to,
                                    out.tensor,
                                    w,
                                    e,
                                )
                            },
                            T.aclnnReduceSum,
                        );
                        close(&what, &out.read(), &sums, to, 1e-6 * n as f64);
                        // SAFETY: all pointers are alive.
                        run(
                            |w, e| unsafe {
                                (T.aclnnMeanGetWorkspaceSize)(
                                    x.tensor,
                                    ints(dims),
                                    keep,
                                    to,
                                    out.tensor,
                                    w,
                                    e,
                                )
                            },
                            T.aclnnMean,
                        );
                        let means: Vec<_> = sums.iter().map(|s| s / n as f64).collect();
                        close(&what, &out.read(), &means, to, 1e-6);
                    }
                    let out = Array::out(dtype, &out_shape, lay);
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            (T.aclnnAmaxGetWorkspaceSize)(
                                x.tensor,
                                ints(dims),
                                keep,
                                out.tensor,
                                w,
                                e,
                            )
                        },
                        T.aclnnAmax,
                    );
                    let maxima: Vec<f64> = groups
                        .iter()
                        .map(|g| g.iter().copied().fold(f64::MIN, f64::max))
                        .collect();
                    assert_eq!(out.read(), maxima, "{what}");
                }
            }
        }
    }
}
