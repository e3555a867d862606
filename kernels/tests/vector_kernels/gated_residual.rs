//! `gated_residual` against `x + gate * y` in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::gated_residual::plan;
use ascendit_kernels::vector::PerChannel;

fn case(shape: [u64; 3], gate: PerChannel, stride: u64, dtype: Type, scale: f64) {
    let [b, s, c] = shape;
    let mut random = Random::new(b + 3 * s + 7 * c);
    let n = b * s * c;
    let [x, y] = [(); 2].map(|()| dtype.round(&random.values(n, 0.0, scale)));
    let rows = if stride == 0 { c } else { (b - 1) * stride + c };
    let gates = random.values(rows, 0.5, 1.0);
    let gates: Vec<f64> = match gate {
        PerChannel::Narrow => dtype.round(&gates),
        _ => gates.iter().map(|v| f64::from(*v as f32)).collect(),
    };
    let want: Vec<f64> = (0..n as usize)
        .map(|i| {
            let (batch, column) = (i as u64 / (s * c), i as u64 % c);
            let factor = match gate {
                PerChannel::None => 1.0,
                _ => gates[(batch * stride + column) as usize],
            };
            x[i] + factor * y[i]
        })
        .collect();
    let plan = plan(shape, gate, stride, dtype.name(), chip()).unwrap();
    let argument = match gate {
        PerChannel::None => Argument::Null,
        PerChannel::F32 => Argument::F32(&gates),
        PerChannel::Narrow => Argument::Narrow(&gates),
    };
    let arguments = [
        Argument::Narrow(&x),
        Argument::Narrow(&y),
        argument,
        Argument::Out(n),
    ];
    let got = run(chip(), &plan, dtype, &arguments);
    check(
        &format!("{shape:?} {gate:?}"),
        dtype,
        &got,
        &want,
        1e-6 * scale,
    );
}

#[test]
fn every_shape_is_the_formula() {
    let shapes = [
        [1, 1, 1],
        [1, 1, 16],
        [2, 3, 17],
        [3, 50, 96],
        [2, 100, 64],
        [2, 70, 1152],
        [2, 49, 2304],
        [1, 3, 5000],
        [2, 2, 9001],
        [1, 70_000, 8],
    ];
    for shape in shapes {
        for dtype in TYPES {
            case(shape, PerChannel::F32, shape[2], dtype, 1.0);
        }
    }
}

#[test]
fn gates_come_in_each_form_and_at_any_distance() {
    for dtype in TYPES {
        case([3, 20, 144], PerChannel::Narrow, 144, dtype, 1.0);
        case([3, 20, 100], PerChannel::Narrow, 600, dtype, 1.0);
        case([3, 20, 100], PerChannel::F32, 600, dtype, 1.0);
        case([3, 20, 100], PerChannel::F32, 0, dtype, 1.0);
        case([3, 20, 100], PerChannel::None, 0, dtype, 1.0);
        case([2, 300, 2304], PerChannel::None, 0, dtype, 1.0);
    }
}

#[test]
fn large_and_small_values_are_kept() {
    for dtype in TYPES {
        case([2, 9, 320], PerChannel::F32, 320, dtype, 6e3);
        case([2, 9, 320], PerChannel::F32, 320, dtype, 1e-3);
    }
}

#[test]
fn nothing_to_do_is_refused() {
    let refused = |shape, dtype| plan(shape, PerChannel::None, 0, dtype, chip()).unwrap_err();
    assert_eq!(refused([1, 0, 8], "f16"), "S is 0");
    assert_eq!(
        refused([1, 1, 8], "f32"),
        "the type is f32; f16 and bf16 are supported"
    );
}
