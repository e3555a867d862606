//! Times of large calls, printed: `cargo test --release -p ascendit-cann-twin --test ops -- --ignored --nocapture speed`.

use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ptr::null;
use std::time::{Duration, Instant};

/// The fastest of three, and prints it.
fn time(what: &str, mut f: impl FnMut()) -> Duration {
    let best = (0..3)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("{what}: {best:.1?}");
    best
}

#[test]
#[ignore = "takes seconds and tests speed"]
fn large_calls_are_fast() {
    let f16 = |shape: &[usize]| Array::random(ACL_FLOAT16, shape, Lay::Rows, 1);
    let (a, b, z) = (f16(&[4096, 1024]), f16(&[1024, 1024]), f16(&[4096, 1024]));
    let mut all = Duration::ZERO;
    all += time("f16 matmul 4096x1024x1024", || {
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnMatmulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, 0, w, e)
            },
            T.aclnnMatmul,
        );
    });
    let conv = |shape: &[usize]| {
        Array::with_format(
            ACL_FLOAT16,
            shape,
            Lay::Rows,
            ACL_FORMAT_NCDHW,
            &random(shape.iter().product(), 1),
        )
    };
    let (x, w, z) = (
        conv(&[1, 64, 5, 64, 64]),
        conv(&[64, 64, 3, 3, 3]),
        conv(&[1, 64, 5, 64, 64]),
    );
    all += time("f16 conv3d [1, 64, 5, 64, 64] by [64, 64, 3, 3, 3]", || {
        let one = ints(&[1, 1, 1]);
        // SAFETY: all pointers are alive.
        run(
            |s, e| unsafe {
                (T.aclnnConvolutionGetWorkspaceSize)(
                    x.tensor,
                    w.tensor,
                    null(),
                    one,
                    one,
                    one,
                    false,
                    null(),
                    1,
                    z.tensor,
                    0,
                    s,
                    e,
                )
            },
            T.aclnnConvolution,
        );
    });
    let [q, k, v, z] = [(); 4].map(|()| f16(&[1, 1024, 8, 96]));
    all += time("f16 attention [1, 1024, 8, 96]", || {
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnPromptFlashAttentionV3GetWorkspaceSize.unwrap())(
                    q.tensor,
                    k.tensor,
                    v.tensor,
                    null(),
                    null(),
                    null(),
                    null(),
                    null(),
                    null(),
                    null(),
                    null(),
                    null(),
                    8,
                    0.1,
                    65536,
                    65536,
                    c"BSND".as_ptr().cast_mut(),
                    8,
                    0,
                    1,
                    z.tensor,
                    w,
                    e,
                )
            },
            T.aclnnPromptFlashAttentionV3.unwrap(),
        );
    });
    let (x, z) = (f16(&[16 << 20]), f16(&[16 << 20]));
    all += time("f16 silu of 16 Mi elements", || {
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe { (T.aclnnSiluGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnSilu,
        );
    });
    assert!(all < Duration::from_secs(10), "{all:?}");
}
