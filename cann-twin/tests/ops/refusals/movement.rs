use super::*;

#[test]
fn movement_is_refused_with_its_reason() {
    let (x, z) = (f16(&[2, 3]), f16(&[3, 2]));
    // SAFETY: all pointers are null or alive.
    unsafe {
        let permute = |dims: &[i64], out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnPermuteGetWorkspaceSize)(x.tensor, ints(dims), out.tensor, w, e)
            });
        };
        permute(
            &[1],
            &z,
            "aclnnPermute: dims is [1], must name all axes of self, f16[2, 3]",
        );
        permute(&[1, 2], &z, "aclnnPermute: dims is 2, must be from -2 to 1");
        permute(
            &[1, 0],
            &x,
            "aclnnPermute: out is f16[2, 3], must have shape [3, 2]",
        );
        permute(
            &[1, 0],
            &of(ACL_BF16, &[3, 2]),
            "aclnnPermute: out is bf16[3, 2], must have the type of self, f16",
        );
        refused(
            INVALID,
            "aclnnInplaceCopy: src is f16[3, 2], must broadcast to selfRef, f16[2, 3]",
            |w, e| (T.aclnnInplaceCopyGetWorkspaceSize)(x.tensor, z.tensor, w, e),
        );
        let cat = |parts: &[&Array], dim, out: &Array, text| {
            let parts = list(parts);
            refused(INVALID, text, |w, e| {
                (T.aclnnCatGetWorkspaceSize)(parts, dim, out.tensor, w, e)
            });
        };
        cat(
            &[&x, &z],
            0,
            &f16(&[5, 3]),
            "aclnnCat: tensors[1] is f16[3, 2], must be like tensors[0], f16[2, 3], but along dim 0",
        );
        cat(
            &[&x, &x],
            2,
            &f16(&[4, 3]),
            "aclnnCat: dim is 2, must be from -2 to 1",
        );
        cat(
            &[&x, &x],
            0,
            &f16(&[3, 3]),
            "aclnnCat: out is f16[3, 3], must have shape [4, 3]",
        );
        cat(
            &[&x, &of(ACL_INT32, &[2, 3])],
            0,
            &f16(&[4, 3]),
            "aclnnCat: tensors[1] is i32[2, 3], must have the type of tensors[0], f16[2, 3]",
        );
        let pad = |pads: &[i64], out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnConstantPadNdGetWorkspaceSize)(
                    x.tensor,
                    ints(pads),
                    scalar(0.0),
                    out.tensor,
                    w,
                    e,
                )
            });
        };
        pad(
            &[1],
            &x,
            "aclnnConstantPadNd: pad is [1], must be an even number of up to 4",
        );
        pad(
            &[1; 6],
            &x,
            "aclnnConstantPadNd: pad is [1, 1, 1, 1, 1, 1], must be an even number of up to 4",
        );
        pad(
            &[-2, -2],
            &x,
            "aclnnConstantPadNd: pad is [-2, -2], must leave axes of self, f16[2, 3], of 0 or more",
        );
        pad(
            &[1, 1],
            &x,
            "aclnnConstantPadNd: out is f16[2, 3], must have shape [2, 5]",
        );
        let indices = of(ACL_INT64, &[4]);
        let look = |weight: &Array, indices: &Array, out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnEmbeddingGetWorkspaceSize)(weight.tensor, indices.tensor, out.tensor, w, e)
            });
        };
        look(
            &x,
            &x,
            &f16(&[4, 3]),
            "aclnnEmbedding: indices is f16[2, 3], must be i64 or i32",
        );
        look(
            &f16(&[3]),
            &indices,
            &f16(&[4, 3]),
            "aclnnEmbedding: weight is f16[3], must have 2 axes",
        );
        look(
            &x,
            &indices,
            &f16(&[4, 2]),
            "aclnnEmbedding: out is f16[4, 2], must have shape [4, 3]",
        );
        let (small, large) = (
            ncdhw(ACL_FLOAT16, &[1, 2, 3, 4, 5]),
            ncdhw(ACL_FLOAT16, &[1, 2, 6, 8, 10]),
        );
        let nearest = |x: &Array, size: &[i64], scale, out: &Array, text| {
            refused(INVALID, text, |w, e| {
                (T.aclnnUpsampleNearest3dGetWorkspaceSize)(
                    x.tensor,
                    ints(size),
                    scale,
                    0.0,
                    0.0,
                    out.tensor,
                    w,
                    e,
                )
            });
        };
        nearest(
            &f16(&[1, 2, 3, 4, 5]),
            &[6, 8, 10],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: self has format ND, must have NCDHW",
        );
        nearest(
            &f16(&[2, 3, 4, 5]),
            &[6, 8, 10],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: self is f16[2, 3, 4, 5], must have 5 axes",
        );
        nearest(
            &small,
            &[6, 8],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: outputSize is [6, 8], must be 3 numbers greater than 0",
        );
        nearest(
            &small,
            &[6, 8, 10],
            f64::NAN,
            &large,
            "aclnnUpsampleNearest3d: scales are [NaN, 0.0, 0.0], must be 0 or greater",
        );
        nearest(
            &small,
            &[6, 8, 9],
            0.0,
            &large,
            "aclnnUpsampleNearest3d: out is f16[1, 2, 6, 8, 10], must have shape [1, 2, 6, 8, 9]",
        );
        let bf16s = ncdhw(ACL_BF16, &[1, 2, 6, 8, 10]);
        refused(
            INVALID,
            "aclnnUpsampleTrilinear3d: out is bf16[1, 2, 6, 8, 10], must have the type of self, f16",
            |w, e| {
                (T.aclnnUpsampleTrilinear3dGetWorkspaceSize)(
                    small.tensor,
                    ints(&[6, 8, 10]),
                    false,
                    0.0,
                    0.0,
                    0.0,
                    bf16s.tensor,
                    w,
                    e,
                )
            },
        );
    }
}
