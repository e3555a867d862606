use super::*;

#[test]
fn norms_are_refused_with_their_reason() {
    let (x, g, z) = (f16(&[2, 4, 6]), f16(&[6]), f16(&[2, 4, 6]));
    let rstd = of(ACL_FLOAT, &[2, 4, 1]);
    let layer = |shape: &[i64], weight: &Array, bias: &Array, mean: *mut aclTensor, text| {
        let shape = ints(shape);
        // SAFETY: all pointers are null or alive.
        refused(INVALID, text, |w, e| unsafe {
            (T.aclnnLayerNormGetWorkspaceSize)(
                x.tensor,
                shape,
                weight.tensor,
                bias.tensor,
                1e-5,
                z.tensor,
                mean,
                null_mut(),
                w,
                e,
            )
        });
    };
    let (f32s, bf16s) = (of(ACL_FLOAT, &[6]), of(ACL_BF16, &[6]));
    layer(
        &[4],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: normalizedShape is [4], must be the last axes of input, f16[2, 4, 6]",
    );
    layer(
        &[],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: normalizedShape is [], must be the last axes of input, f16[2, 4, 6]",
    );
    layer(
        &[6],
        &bf16s,
        &g,
        null_mut(),
        "aclnnLayerNorm: weightOptional is bf16[6], must have the type of input, f16",
    );
    layer(
        &[6],
        &f32s,
        &g,
        null_mut(),
        "aclnnLayerNorm: biasOptional is f16[6], must have the type of weightOptional, f32",
    );
    layer(
        &[4, 6],
        &g,
        &g,
        null_mut(),
        "aclnnLayerNorm: weightOptional is f16[6], must have shape [4, 6]",
    );
    layer(
        &[6],
        &g,
        &g,
        f32s.tensor,
        "aclnnLayerNorm: meanOutOptional is f32[6], must have shape [2, 4, 1]",
    );
    // SAFETY: all pointers are null or alive.
    unsafe {
        let rms = |gamma: &Array, out: &Array, rstd: *const aclTensor, code, text| {
            refused(code, text, |w, e| {
                (T.aclnnRmsNormGetWorkspaceSize)(
                    x.tensor,
                    gamma.tensor,
                    1e-6,
                    out.tensor,
                    rstd,
                    w,
                    e,
                )
            });
        };
        rms(
            &g,
            &z,
            null(),
            NULL,
            "aclnnRmsNorm: rstdOut is a null pointer",
        );
        rms(
            &bf16s,
            &z,
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: gamma is bf16[6], must have the type of x, f16",
        );
        rms(
            &f16(&[4]),
            &z,
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: gamma is f16[4], must have the last axes of x, f16[2, 4, 6]",
        );
        rms(
            &g,
            &z,
            g.tensor,
            INVALID,
            "aclnnRmsNorm: rstdOut is f16[6], must be f32",
        );
        rms(
            &g,
            &z,
            f32s.tensor,
            INVALID,
            "aclnnRmsNorm: rstdOut is f32[6], must have shape [2, 4, 1]",
        );
        rms(
            &g,
            &of(ACL_FLOAT, &[2, 4, 6]),
            rstd.tensor,
            INVALID,
            "aclnnRmsNorm: yOut is f32[2, 4, 6], must have the type of x, f16",
        );
        let (scale, moments) = (f16(&[4]), f16(&[2, 2]));
        let group =
            |gamma: *const aclTensor, sizes: [i64; 4], eps, mean: *mut aclTensor, code, text| {
                let [n, c, inner, groups] = sizes;
                refused(code, text, |w, e| {
                    (T.aclnnGroupNormGetWorkspaceSize)(
                        x.tensor,
                        gamma,
                        null(),
                        n,
                        c,
                        inner,
                        groups,
                        eps,
                        z.tensor,
                        mean,
                        moments.tensor,
                        w,
                        e,
                    )
                });
            };
        group(
            scale.tensor,
            [2, 4, 6, 2],
            1e-5,
            null_mut(),
            NULL,
            "aclnnGroupNorm: meanOut is a null pointer",
        );
        group(
            scale.tensor,
            [2, 4, 5, 2],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: HxW is 5, must be 6 for self, f16[2, 4, 6]",
        );
        group(
            scale.tensor,
            [2, 4, 6, 3],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: group is 3, must be greater than 0 and divide C, 4",
        );
        group(
            scale.tensor,
            [2, 4, 6, 2],
            0.0,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: eps is 0, must be greater than 0",
        );
        let wide = of(ACL_FLOAT, &[4]);
        group(
            wide.tensor,
            [2, 4, 6, 2],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: gamma is f32[4], must have the type of self, f16",
        );
        group(
            scale.tensor,
            [2, 4, 6, 4],
            1e-5,
            moments.tensor,
            INVALID,
            "aclnnGroupNorm: meanOut is f16[2, 2], must have shape [2, 4]",
        );
        refused(
            INVALID,
            "aclnnSoftmax: dim is 3, must be from -3 to 2",
            |w, e| (T.aclnnSoftmaxGetWorkspaceSize)(x.tensor, 3, z.tensor, w, e),
        );
    }
}

#[test]
fn reductions_are_refused_with_their_reason() {
    let (x, z) = (f16(&[2, 4, 6]), f16(&[2, 6]));
    // SAFETY: all pointers are null or alive.
    unsafe {
        refused(NULL, "aclnnMean: dim is a null pointer", |w, e| {
            (T.aclnnMeanGetWorkspaceSize)(x.tensor, null(), false, ACL_FLOAT16, z.tensor, w, e)
        });
        refused(
            INVALID,
            "aclnnMean: dim is 3, must be from -3 to 2",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[3]),
                    false,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: dim is [1, -2], must name an axis once",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1, -2]),
                    false,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: dtype is i32, must be f32, f16 or bf16",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    false,
                    ACL_INT32,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnMean: out is f16[2, 6], must have shape [2, 1, 6]",
            |w, e| {
                (T.aclnnMeanGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    true,
                    ACL_FLOAT16,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        refused(
            INVALID,
            "aclnnReduceSum: dtype is f32, must be the type of out, f16",
            |w, e| {
                (T.aclnnReduceSumGetWorkspaceSize)(
                    x.tensor,
                    ints(&[1]),
                    false,
                    ACL_FLOAT,
                    z.tensor,
                    w,
                    e,
                )
            },
        );
        let wide = of(ACL_FLOAT, &[2, 6]);
        refused(
            INVALID,
            "aclnnAmax: out is f32[2, 6], must have the type of self, f16",
            |w, e| (T.aclnnAmaxGetWorkspaceSize)(x.tensor, ints(&[1]), false, wide.tensor, w, e),
        );
        let empty = f16(&[2, 0, 6]);
        refused(
            INVALID,
            "aclnnAmax: self is f16[2, 0, 6], must not be empty along dim 1",
            |w, e| (T.aclnnAmaxGetWorkspaceSize)(empty.tensor, ints(&[1]), false, z.tensor, w, e),
        );
    }
}
