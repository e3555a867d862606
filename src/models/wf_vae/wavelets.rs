//! Haar transforms: their filters do not overlap, so that a transform is a product of blocks of pixels
//! with a matrix of filters.

use crate::graph::{Builder, Params, Value};
use crate::tensor::HostTensor;

/// Factor of the outermost wavelet transforms, which have no weights in checkpoints: the authors'
/// rounding of `1 / (2 √2)`.
pub(super) const HAAR: f32 = 0.3536;

/// Signs of the eight 2×2×2 Haar filters in the authors' order, by `t, h, w` of the tap.
pub(super) const SIGNS: [[f32; 8]; 8] = [
    [1., 1., 1., 1., 1., 1., 1., 1.],
    [1., -1., 1., -1., 1., -1., 1., -1.],
    [1., 1., -1., -1., 1., 1., -1., -1.],
    [1., -1., -1., 1., 1., -1., -1., 1.],
    [1., 1., 1., 1., -1., -1., -1., -1.],
    [1., -1., 1., -1., -1., 1., -1., 1.],
    [1., 1., -1., -1., -1., -1., 1., 1.],
    [1., -1., -1., 1., -1., 1., 1., -1.],
];

/// The checkpoint's wavelet filters as `[filters, taps]`.
pub(super) fn stack_filters<'g, const N: usize>(
    p: &Params<'g>,
    names: [&str; N],
    shape: &[usize],
) -> Value<'g> {
    let filters = names.map(|name| p.weight(name, shape).reshape([1, N]));
    p.builder().concat(&filters, 0)
}

/// The three-dimensional Haar filters of the outermost transforms, `[filters, taps]`.
pub(super) fn haar_3d_constant(g: &Builder) -> Value<'_> {
    g.constant(HostTensor::f32(
        [8, 8],
        SIGNS.iter().flatten().map(|sign| sign * HAAR).collect(),
    ))
    .cast(g.compute_dtype())
}

/// Causal Haar transform `[B, C, 2 n - 1, H, W]` → `[B, 8 C, n, H/2, W/2]`: the first frame is
/// repeated in front, then every 2×2×2 block becomes eight coefficients, filter slowest.
pub(super) fn haar_3d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let x = x.builder().concat(&[x.slice(2, 0, 1), x], 2);
    let (b, c, t, h, w) = (x.dim(0), x.dim(1), x.dim(2) / 2, x.dim(3) / 2, x.dim(4) / 2);
    x.reshape([b * c, t, 2, h, 2, w, 2])
        .permute([0, 1, 3, 5, 2, 4, 6])
        .reshape([b, c, t, h, w, 8])
        .linear(filters, None)
        .permute([0, 5, 1, 2, 3, 4])
        .reshape([b, 8 * c, t, h, w])
}

/// Inverse of [`haar_3d`] by the same filters; the frame that was repeated in front is dropped where
/// the video begins.
pub(super) fn inverse_haar_3d<'g>(x: Value<'g>, filters: Value<'g>, first: bool) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1) / 8, x.dim(2), x.dim(3), x.dim(4));
    let video = x
        .reshape([b, 8, c, t, h, w])
        .permute([0, 2, 3, 4, 5, 1])
        .linear(filters.permute([1, 0]), None)
        .reshape([b * c, t, h, w, 2, 2, 2])
        .permute([0, 1, 4, 2, 5, 3, 6])
        .reshape([b, c, 2 * t, 2 * h, 2 * w]);
    let skipped = usize::from(first);
    video.slice(2, skipped, 2 * t - skipped)
}

/// Haar transform of each frame, `[B, C, T, H, W]` → `[B, 4 C, T, H/2, W/2]`, filter slowest.
pub(super) fn haar_2d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3) / 2, x.dim(4) / 2);
    x.reshape([b, c, t, h, 2, w, 2])
        .permute([0, 1, 2, 3, 5, 4, 6])
        .reshape([b, c, t, h, w, 4])
        .linear(filters, None)
        .permute([0, 5, 1, 2, 3, 4])
        .reshape([b, 4 * c, t, h, w])
}

/// Inverse of [`haar_2d`] by the same filters.
pub(super) fn inverse_haar_2d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1) / 4, x.dim(2), x.dim(3), x.dim(4));
    x.reshape([b, 4, c, t, h, w])
        .permute([0, 2, 3, 4, 5, 1])
        .linear(filters.permute([1, 0]), None)
        .reshape([b, c, t, h, w, 2, 2])
        .permute([0, 1, 2, 3, 5, 4, 6])
        .reshape([b, c, t, 2 * h, 2 * w])
}
