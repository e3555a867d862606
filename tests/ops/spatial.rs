//! Convolutions and enlargement.

use ascendit::graph::{Builder, Op, ResizeMode, Value};

use super::{case, check, operand, x};

#[test]
fn convolutions() {
    check(vec![
        case("conv1d", |g| {
            let w = operand(g, "w", &[4, 3, 3]);
            x(g, &[2, 3, 9]).conv(w, Some(operand(g, "b", &[4])), &[2], &[(1, 1)])
        }),
        case("conv2d", |g| {
            let w = operand(g, "w", &[5, 3, 3, 3]);
            let b = Some(operand(g, "b", &[5]));
            x(g, &[2, 3, 7, 6]).conv(w, b, &[1, 1], &[(1, 1), (1, 1)])
        }),
        case("conv2d with uneven padding and stride", |g| {
            let w = operand(g, "w", &[8, 16, 3, 2]);
            x(g, &[1, 16, 9, 10]).conv(w, None, &[2, 3], &[(0, 1), (2, 0)])
        }),
        case("conv2d in groups", |g| {
            let op = Op::Conv {
                stride: vec![1, 1],
                padding: vec![(1, 1), (1, 1)],
                groups: 3,
                bias: true,
            };
            let (w, b) = (operand(g, "w", &[6, 2, 3, 3]), operand(g, "b", &[6]));
            x(g, &[1, 6, 5, 5]).apply(op, &[w, b])
        }),
        case("conv2d of one channel each", |g| {
            let op = Op::Conv {
                stride: vec![1, 1],
                padding: vec![(1, 1), (1, 1)],
                groups: 16,
                bias: false,
            };
            x(g, &[1, 16, 5, 5]).apply(op, &[operand(g, "w", &[16, 1, 3, 3])])
        }),
        case("conv3d", |g| {
            let w = operand(g, "w", &[4, 3, 2, 3, 3]);
            let b = Some(operand(g, "b", &[4]));
            let padding = [(1, 0), (1, 1), (1, 1)];
            x(g, &[2, 3, 4, 5, 6]).conv(w, b, &[1, 2, 1], &padding)
        }),
        case("conv3d of frames", |g| {
            let w = operand(g, "w", &[4, 3, 1, 3, 3]);
            let padding = [(0, 0), (1, 1), (0, 1)];
            x(g, &[1, 3, 4, 5, 6]).conv(w, None, &[1, 2, 2], &padding)
        }),
        case("conv3d of points", |g| {
            let w = operand(g, "w", &[4, 3, 1, 1, 1]);
            let b = Some(operand(g, "b", &[4]));
            x(g, &[2, 3, 4, 5, 6]).conv(w, b, &[1, 1, 1], &[(0, 0); 3])
        }),
    ]);
}

#[test]
fn causal_convolutions() {
    let conv = |name,
                x_shape: [usize; 5],
                w_shape: [usize; 5],
                bias: bool,
                cached: bool,
                stride,
                padding| {
        case(name, move |g| {
            let w = operand(g, "w", &w_shape);
            let bias = bias.then(|| operand(g, "b", &w_shape[..1]));
            let [b, c, _, h, wd] = x_shape;
            let cache = cached.then(|| operand(g, "cache", &[b, c, w_shape[2] - 1, h, wd]));
            x(g, &x_shape).causal_conv3d(w, bias, cache, stride, padding)
        })
    };
    let same = [(1, 1), (1, 1)];
    check(vec![
        conv(
            "first chunk",
            [1, 4, 3, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "later chunk",
            [1, 4, 2, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
        conv(
            "one frame",
            [1, 4, 1, 6, 5],
            [8, 4, 3, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "one later frame",
            [1, 4, 1, 6, 5],
            [8, 4, 3, 3, 3],
            false,
            true,
            [1; 3],
            same,
        ),
        conv(
            "two rows",
            [2, 3, 4, 5, 7],
            [5, 3, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
        conv(
            "two rows, no cache",
            [2, 3, 4, 5, 7],
            [5, 3, 3, 3, 3],
            false,
            false,
            [1; 3],
            same,
        ),
        conv(
            "frames only",
            [1, 3, 4, 5, 7],
            [5, 3, 1, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "frames only, two rows",
            [2, 16, 4, 5, 7],
            [8, 16, 1, 3, 3],
            true,
            false,
            [1; 3],
            same,
        ),
        conv(
            "points",
            [1, 3, 4, 5, 7],
            [5, 3, 1, 1, 1],
            true,
            false,
            [1; 3],
            [(0, 0); 2],
        ),
        conv(
            "time only",
            [1, 3, 5, 4, 4],
            [5, 3, 3, 1, 1],
            true,
            true,
            [1; 3],
            [(0, 0); 2],
        ),
        conv(
            "strides",
            [1, 3, 5, 6, 6],
            [5, 3, 3, 3, 3],
            true,
            false,
            [2, 2, 2],
            [(0, 1), (0, 1)],
        ),
        conv(
            "strides in time",
            [1, 3, 5, 4, 4],
            [5, 3, 3, 1, 1],
            true,
            false,
            [2, 1, 1],
            [(0, 0); 2],
        ),
        conv(
            "Haar",
            [1, 3, 4, 6, 6],
            [1, 3, 2, 2, 2],
            false,
            true,
            [2; 3],
            [(0, 0); 2],
        ),
        conv(
            "wide",
            [1, 32, 3, 9, 11],
            [24, 32, 3, 3, 3],
            true,
            true,
            [1; 3],
            same,
        ),
    ]);
}

/// Normalised channels may lie innermost, and joints of them too.
#[test]
fn joints_of_normalised_frames() {
    fn normed(g: &Builder) -> Value<'_> {
        x(g, &[1, 6, 3, 4, 5]).layer_norm(1, 1e-5, None)
    }
    fn frames<'g>(g: &'g Builder, name: &str, count: usize) -> Value<'g> {
        operand(g, name, &[1, 6, count, 4, 5])
    }
    check(vec![
        case("behind others", |g| {
            g.concat(&[frames(g, "before", 2), normed(g).silu()], 2)
        }),
        case("before others", |g| {
            g.concat(&[normed(g), frames(g, "after", 1)], 2)
        }),
        case("twice", |g| {
            let y = normed(g);
            g.concat(&[y, y], 2)
        }),
        case("behind their first frame", |g| {
            let y = normed(g).silu();
            let first = y.slice(2, 0, 1);
            let joint = g.concat(&[first, first, y], 2);
            joint.conv(
                operand(g, "w", &[4, 6, 3, 3, 3]),
                None,
                &[1; 3],
                &[(0, 0); 3],
            ) * 2.0
        }),
        case("and read again", |g| {
            let y = normed(g);
            let joint = g.concat(&[frames(g, "before", 3), y], 2);
            joint.slice(2, 1, 3) * y + y.silu()
        }),
        case("and joined again", |g| {
            let y = normed(g).silu();
            let joint = g.concat(&[frames(g, "before", 1), y], 2);
            g.concat(&[joint, frames(g, "after", 2)], 2).silu()
        }),
        case("in two joints", |g| {
            let y = normed(g);
            let one = g.concat(&[frames(g, "before", 2), y], 2);
            one + g.concat(&[y, frames(g, "after", 2)], 2)
        }),
        case("of two values", |g| {
            let y = normed(g);
            g.concat(&[y.silu(), y], 2)
        }),
        case("along channels", |g| {
            g.concat(&[frames(g, "before", 3), normed(g)], 1)
        }),
        case("of two rows", |g| {
            let y = x(g, &[2, 6, 3, 4, 5]).layer_norm(1, 1e-5, None);
            g.concat(&[operand(g, "before", &[2, 6, 2, 4, 5]), y], 2)
        }),
        case("of one frame", |g| {
            let y = x(g, &[1, 6, 1, 4, 5]).layer_norm(1, 1e-5, None);
            g.concat(&[y, y, y], 2)
        }),
    ]);
}

#[test]
fn enlargement() {
    let mut cases = vec![];
    for (name, mode) in [
        ("nearest", ResizeMode::Nearest),
        ("linear", ResizeMode::Linear),
    ] {
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[2, 3, 5], &[2]),
            (&[1, 2, 3, 4], &[2, 2]),
            (&[2, 3, 4, 3], &[1, 3]),
            (&[2, 3, 4, 3], &[3, 1]),
            (&[2, 3, 4, 3, 2], &[1, 2, 2]),
            (&[1, 2, 3, 4, 5], &[2, 1, 1]),
            (&[2, 2, 3, 4, 3], &[2, 2, 2]),
            (&[1, 2, 1, 1, 3], &[2, 2, 2]),
            (&[1, 2, 3, 3], &[1, 1]),
        ];
        for (shape, factors) in shapes {
            cases.push(case(name, move |g| x(g, shape).resize(mode, factors)));
        }
    }
    check(cases);
}
