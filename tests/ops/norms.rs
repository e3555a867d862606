//! Normalisations.

use super::{case, check, operand, x};

#[test]
fn normalisations() {
    let layer = |name, shape: &'static [usize], axis: usize, affine: bool| {
        case(name, move |g| {
            let affine = affine.then(|| {
                let size = &shape[axis..=axis];
                (operand(g, "w", size), operand(g, "b", size))
            });
            (x(g, shape) * 3.0 + 1.0).layer_norm(axis, 1e-5, affine)
        })
    };
    let group = |name, shape: &'static [usize], groups| {
        case(name, move |g| {
            let (w, b) = (operand(g, "w", &shape[1..2]), operand(g, "b", &shape[1..2]));
            (x(g, shape) * 3.0 + 1.0).group_norm(groups, 1e-6, w, b)
        })
    };
    let ada = |name, b: usize| {
        case(name, move |g| {
            let (shift, scale) = (
                operand(g, "shift", &[b, 1, 24]),
                operand(g, "scale", &[b, 1, 24]),
            );
            x(g, &[b, 7, 24]).ada_layer_norm(shift, scale, 1e-6)
        })
    };
    check(vec![
        layer("layer norm", &[2, 5, 33], 2, true),
        layer("layer norm without weights", &[2, 5, 33], 2, false),
        layer("layer norm over channels", &[2, 6, 3, 5, 7], 1, true),
        layer(
            "layer norm over channels of one row",
            &[1, 16, 3, 4, 4],
            1,
            true,
        ),
        layer(
            "layer norm over channels without weights",
            &[1, 6, 3, 5],
            1,
            false,
        ),
        layer("layer norm over the first axis", &[6, 5], 0, true),
        layer("layer norm of a vector", &[17], 0, true),
        ada("adaptive layer norm", 2),
        ada("adaptive layer norm of one row", 1),
        case("rms norm", |g| {
            x(g, &[2, 3, 19]).rms_norm(operand(g, "w", &[19]), 1e-6)
        }),
        case("rms norm of heads", |g| {
            x(g, &[2, 3, 4, 16]).rms_norm(operand(g, "w", &[16]), 1e-6)
        }),
        group("group norm", &[2, 8, 3, 5, 4], 4),
        group("group norm of one group", &[1, 6, 7], 1),
        group("group norm of a matrix", &[3, 6], 2),
        group("group norm of images", &[1, 32, 9, 9], 32),
        case("softmax", |g| (x(g, &[2, 3, 17]) * 20.0).softmax()),
        case("softmax of one", |g| x(g, &[3, 1]).softmax()),
    ]);
}
