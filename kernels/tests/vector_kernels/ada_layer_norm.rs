//! `ada_layer_norm` against the formula in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::ada_layer_norm::{Affine, plan};
use ascendit_kernels::vector::PerChannel;

const EPS: f64 = 1e-6;

/// `x` has a mean and a deviation of 1; `noise` is what f32 may add.
fn case(shape: [u64; 3], affine: Affine, dtype: Type, mean: f64, noise: f64) {
    let [b, s, c] = shape;
    let mut random = Random::new(b + 3 * s + 7 * c);
    let n = b * s * c;
    let x = dtype.round(&random.values(n, mean, 1.0));
    let (given, stride, one) = match affine {
        Affine::None => (PerChannel::None, 0, 0.0),
        Affine::Weight(given) => (given, 0, 0.0),
        Affine::Modulation(given, stride) => (given, stride, 1.0),
    };
    let rows = if stride == 0 { c } else { (b - 1) * stride + c };
    let [scale, shift] = [(); 2].map(|()| {
        let values = random.values(rows, 0.0, 0.5);
        match given {
            PerChannel::Narrow => dtype.round(&values),
            _ => values.iter().map(|v| f64::from(*v as f32)).collect(),
        }
    });
    let mut want = vec![];
    for (row, values) in x.chunks(c as usize).enumerate() {
        let mean = values.iter().sum::<f64>() / c as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / c as f64;
        let factor = 1.0 / (variance + EPS).sqrt();
        for (column, value) in values.iter().enumerate() {
            let at = (row as u64 / s * stride) as usize + column;
            let y = (value - mean) * factor;
            want.push(match affine {
                Affine::None => y,
                _ => y * (one + scale[at]) + shift[at],
            });
        }
    }
    let plan = plan(shape, affine, EPS as f32, dtype.name(), chip()).unwrap();
    let argument = |values| match given {
        PerChannel::None => Argument::Null,
        PerChannel::F32 => Argument::F32(values),
        PerChannel::Narrow => Argument::Narrow(values),
    };
    let arguments = [
        Argument::Narrow(&x),
        argument(&shift),
        argument(&scale),
        Argument::Out(n),
    ];
    let got = run(chip(), &plan, dtype, &arguments);
    check(&format!("{shape:?} {affine:?}"), dtype, &got, &want, noise);
}

#[test]
fn every_shape_is_the_formula() {
    let shapes = [
        [1, 1, 1],
        [1, 1, 16],
        [1, 9, 7],
        [2, 3, 64],
        [1, 5, 72],
        [2, 70, 100],
        [3, 50, 128],
        [1, 130, 320],
        [1, 60, 260],
        [1, 60, 776],
        [2, 33, 1152],
        [2, 99, 2304],
        [1, 7, 3072],
        [1, 3, 4100],
        [1, 50, 8192],
        [1, 70_000, 16],
    ];
    for shape in shapes {
        for dtype in TYPES {
            let affine = Affine::Modulation(PerChannel::F32, shape[2]);
            case(shape, affine, dtype, 0.0, 1e-5);
        }
    }
}

#[test]
fn what_follows_the_norm_comes_in_each_form() {
    for dtype in TYPES {
        for affine in [
            Affine::None,
            Affine::Weight(PerChannel::F32),
            Affine::Weight(PerChannel::Narrow),
            Affine::Modulation(PerChannel::Narrow, 200),
            Affine::Modulation(PerChannel::F32, 600),
        ] {
            case([3, 20, 200], affine, dtype, 0.0, 1e-5);
            case([3, 20, 120], affine, dtype, 0.0, 1e-5);
        }
    }
}

#[test]
fn a_mean_far_from_zero_costs_no_accuracy() {
    let affine = |c| Affine::Modulation(PerChannel::F32, c);
    // The mean of a row has an error of 2^-24 of itself in f32.
    case([2, 40, 256], affine(256), Type::F16, 1000.0, 5e-4);
    case([2, 40, 2304], affine(2304), Type::F16, -1000.0, 5e-4);
    case([2, 40, 2304], affine(2304), Type::Bf16, 100.0, 1e-4);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let affine = Affine::None;
    let refused = |shape| plan(shape, affine, 1e-6, "f16", chip()).unwrap_err();
    assert_eq!(refused([1, 1, 0]), "C is 0");
    let text = refused([1, 1, 20_000]);
    let most = text.strip_prefix("a row has 20000 values; at most ");
    let most = most.and_then(|rest| rest.strip_suffix(" fit the unified buffer"));
    let most: u64 = most.and_then(|n| n.parse().ok()).expect(&text);
    assert!(most >= 8192, "{most}");
    assert!(plan([1, 1, most], affine, 1e-6, "f16", chip()).is_ok());
    assert!(plan([1, 1, most + 1], affine, 1e-6, "f16", chip()).is_err());
}
