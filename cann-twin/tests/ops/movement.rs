use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;

const TYPES: [aclDataType; 8] = [
    ACL_FLOAT,
    ACL_FLOAT16,
    ACL_BF16,
    ACL_INT8,
    ACL_UINT8,
    ACL_INT32,
    ACL_INT64,
    ACL_DOUBLE,
];

/// Small whole numbers, which every type holds.
fn numbers(dtype: aclDataType, shape: &[usize], lay: Lay) -> Array {
    let n = shape.iter().product();
    let values: Vec<_> = (0..n).map(|i| (i % 101) as f64).collect();
    Array::new(dtype, shape, lay, &values)
}

#[test]
fn axes_are_permuted() {
    for dtype in TYPES {
        for dims in [[0, 2, 1, 3], [3, 1, 0, 2], [-1, 0, -3, 2], [0, 1, 2, 3]] {
            for lay in LAYS {
                let x = numbers(dtype, &[2, 3, 4, 37], lay);
                let axes = dims.map(|d: i64| d.rem_euclid(4) as usize);
                let shape = axes.map(|a| x.shape[a]);
                let out = Array::out(dtype, &shape, lay);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnPermuteGetWorkspaceSize)(x.tensor, ints(&dims), out.tensor, w, e)
                    },
                    T.aclnnPermute,
                );
                let wanted: Vec<_> = (0..x.values.len())
                    .map(|i| {
                        let mut index = [0; 4];
                        let mut rest = i;
                        for p in (0..4).rev() {
                            index[axes[p]] = rest % shape[p];
                            rest /= shape[p];
                        }
                        x.values[index.iter().zip(&x.shape).fold(0, |at, (i, n)| at * n + i)]
                    })
                    .collect();
                assert_eq!(out.read(), wanted, "{dtype} {dims:?} {lay:?}");
            }
        }
    }
}

#[test]
fn a_copy_converts_and_broadcasts() {
    for from in TYPES {
        for to in [from, ACL_FLOAT, ACL_BF16] {
            for (i, lay) in LAYS.iter().enumerate() {
                for shape in [&[3, 4, 33][..], &[4, 1], &[33], &[1, 1, 1]] {
                    let x = numbers(from, shape, *lay);
                    let out = Array::out(to, &[3, 4, 33], LAYS[(i + 1) % 4]);
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            (T.aclnnInplaceCopyGetWorkspaceSize)(out.tensor, x.tensor, w, e)
                        },
                        T.aclnnInplaceCopy,
                    );
                    let wanted: Vec<_> = (0..396)
                        .map(|i| {
                            let index = [i / 132, i / 33 % 4, i % 33];
                            let skip = 3 - shape.len();
                            let at = shape.iter().enumerate().fold(0, |at, (a, &n)| {
                                at * n + if n == 1 { 0 } else { index[a + skip] }
                            });
                            x.values[at]
                        })
                        .collect();
                    assert_eq!(out.read(), wanted, "{from} {to} {lay:?} {shape:?}");
                }
            }
        }
    }
}

#[test]
fn tensors_are_joined_along_an_axis() {
    for dtype in TYPES {
        for axis in 0..3usize {
            for lay in LAYS {
                let shapes = [2, 1, 5].map(|n| {
                    let mut shape = [3, 4, 7];
                    shape[axis] = n;
                    shape
                });
                let parts = shapes.map(|s| numbers(dtype, &s, lay));
                let mut shape = [3, 4, 7];
                shape[axis] = 8;
                let out = Array::out(dtype, &shape, lay);
                let tensors = list(&parts.each_ref());
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnCatGetWorkspaceSize)(tensors, axis as i64 - 3, out.tensor, w, e)
                    },
                    T.aclnnCat,
                );
                let wanted: Vec<_> = (0..out.values.len())
                    .map(|i| {
                        let mut index = [
                            i / shape[2] / shape[1],
                            i / shape[2] % shape[1],
                            i % shape[2],
                        ];
                        let mut part = 0;
                        while index[axis] >= shapes[part][axis] {
                            index[axis] -= shapes[part][axis];
                            part += 1;
                        }
                        let s = shapes[part];
                        parts[part].values[(index[0] * s[1] + index[1]) * s[2] + index[2]]
                    })
                    .collect();
                assert_eq!(out.read(), wanted, "{dtype} {axis} {lay:?}");
            }
        }
    }
}

#[test]
fn pads_count_from_the_last_axis_and_may_crop() {
    for dtype in TYPES {
        for pads in [&[1, 2][..], &[0, 0, 3, 0], &[-1, 2, 1, -2, 2, 1], &[]] {
            for lay in LAYS {
                let x = numbers(dtype, &[3, 4, 5], lay);
                let pad = |axis: usize, side: usize| {
                    pads.get((2 - axis) * 2 + side).copied().unwrap_or(0i64)
                };
                let shape: Vec<_> = (0..3)
                    .map(|a| (x.shape[a] as i64 + pad(a, 0) + pad(a, 1)) as usize)
                    .collect();
                let out = Array::out(dtype, &shape, lay);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnConstantPadNdGetWorkspaceSize)(
                            x.tensor,
                            ints(pads),
                            scalar(9.0),
                            out.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnConstantPadNd,
                );
                let wanted: Vec<_> = (0..out.values.len())
                    .map(|i| {
                        let index = [
                            i / shape[2] / shape[1],
                            i / shape[2] % shape[1],
                            i % shape[2],
                        ];
                        let mut at = Some(0);
                        for (a, i) in index.iter().enumerate() {
                            let from = *i as i64 - pad(a, 0);
                            at = at
                                .filter(|_| (0..x.shape[a] as i64).contains(&from))
                                .map(|v| v * x.shape[a] + from as usize);
                        }
                        at.map_or(9.0, |at| x.values[at])
                    })
                    .collect();
                assert_eq!(out.read(), wanted, "{dtype} {pads:?} {lay:?}");
            }
        }
    }
}

#[test]
fn rows_are_looked_up() {
    for dtype in [ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT64] {
        for index_type in [ACL_INT32, ACL_INT64] {
            for lay in LAYS {
                let table = numbers(dtype, &[11, 13], lay);
                let indices = Array::new(index_type, &[2, 3], lay, &[0., 10., 3., 3., 7., 1.]);
                let out = Array::out(dtype, &[2, 3, 13], lay);
                // SAFETY: all pointers are alive.
                run(
                    |w, e| unsafe {
                        (T.aclnnEmbeddingGetWorkspaceSize)(
                            table.tensor,
                            indices.tensor,
                            out.tensor,
                            w,
                            e,
                        )
                    },
                    T.aclnnEmbedding,
                );
                let wanted: Vec<_> = indices
                    .values
                    .iter()
                    .flat_map(|&r| table.values[r as usize * 13..][..13].to_vec())
                    .collect();
                assert_eq!(out.read(), wanted, "{dtype} {lay:?}");
            }
        }
    }
}

/// Along one axis, the two inputs of output `i` and the part of the second.
fn source(i: usize, n: usize, to: usize, linear: bool) -> (usize, usize, f64) {
    let step = n as f64 / to as f64;
    if !linear {
        let at = ((i as f64 * step) as usize).min(n - 1);
        return (at, at, 0.0);
    }
    let at = (step * (i as f64 + 0.5) - 0.5).max(0.0);
    let low = at as usize;
    (low, (low + 1).min(n - 1), at - low as f64)
}

#[test]
fn upsampling_takes_the_nearest_or_goes_between() {
    for dtype in FLOATS {
        for size in [[2, 6, 8], [3, 8, 12], [5, 4, 6], [1, 9, 7]] {
            for lay in [Lay::Rows, Lay::Gaps, Lay::Reversed] {
                for linear in [false, true] {
                    let n = [2, 4, 6];
                    let shape = [2, 3, n[0], n[1], n[2]];
                    let x =
                        Array::with_format(dtype, &shape, lay, ACL_FORMAT_NCDHW, &random(288, 1));
                    let out_shape = [2, 3, size[0], size[1], size[2]];
                    let out = Array::with_format(
                        dtype,
                        &out_shape,
                        lay,
                        ACL_FORMAT_NCDHW,
                        &random(out_shape.iter().product(), 2),
                    );
                    let output_size = ints(&size.map(|n| n as i64));
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            match linear {
                                true => (T.aclnnUpsampleTrilinear3dGetWorkspaceSize)(
                                    x.tensor,
                                    output_size,
                                    false,
                                    0.0,
                                    0.0,
                                    0.0,
                                    out.tensor,
                                    w,
                                    e,
                                ),
                                false => (T.aclnnUpsampleNearest3dGetWorkspaceSize)(
                                    x.tensor,
                                    output_size,
                                    0.0,
                                    0.0,
                                    0.0,
                                    out.tensor,
                                    w,
                                    e,
                                ),
                            }
                        },
                        if linear {
                            T.aclnnUpsampleTrilinear3d
                        } else {
                            T.aclnnUpsampleNearest3d
                        },
                    );
                    let wanted: Vec<_> = (0..out.values.len())
                        .map(|i| {
                            let at = [
                                i / size[2] / size[1] % size[0],
                                i / size[2] % size[1],
                                i % size[2],
                            ];
                            let channel = i / size[2] / size[1] / size[0];
                            let sources: Vec<_> = (0..3)
                                .map(|a| source(at[a], n[a], size[a], linear))
                                .collect();
                            (0..8usize)
                                .map(|corner| {
                                    let (mut place, mut part) = (channel, 1.0);
                                    for (a, (low, high, p)) in sources.iter().enumerate() {
                                        let second = corner >> a & 1 == 1;
                                        place = place * n[a] + if second { *high } else { *low };
                                        part *= if second { *p } else { 1.0 - p };
                                    }
                                    part * x.values[place]
                                })
                                .sum()
                        })
                        .collect();
                    close(
                        &format!("{dtype} {size:?} {lay:?} {linear}"),
                        &out.read(),
                        &wanted,
                        dtype,
                        2e-6,
                    );
                }
            }
        }
    }
}
