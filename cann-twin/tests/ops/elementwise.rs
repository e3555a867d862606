use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;

/// Shapes of two inputs and what they broadcast to.
const PAIRS: [(&[usize], &[usize], &[usize]); 7] = [
    (&[1], &[1], &[1]),
    (&[7, 5], &[7, 5], &[7, 5]),
    (&[3, 1, 5], &[4, 1], &[3, 4, 5]),
    (&[5], &[2, 3, 5], &[2, 3, 5]),
    (&[2, 3, 4, 5], &[3, 1, 5], &[2, 3, 4, 5]),
    (&[], &[3, 3], &[3, 3]),
    (&[129, 517], &[517], &[129, 517]),
];

fn element(a: &Array, shape: &[usize], i: usize) -> f64 {
    let mut rest = i;
    let (mut at, mut size) = (0, 1);
    let missing = shape.len() - a.shape.len();
    for axis in (0..shape.len()).rev() {
        let index = rest % shape[axis];
        rest /= shape[axis];
        if axis >= missing {
            let n = a.shape[axis - missing];
            at += if n == 1 { 0 } else { index * size };
            size *= n;
        }
    }
    a.values[at]
}

/// A function and what it is in f64.
type Case<F, G> = (&'static str, F, Phase2, G);
type Of1 = fn(f64) -> f64;
type Of2 = fn(f64, f64) -> f64;

type Sum = unsafe extern "C" fn(
    *const aclTensor,
    *const aclTensor,
    *const aclScalar,
    *mut aclTensor,
    *mut u64,
    *mut *mut aclOpExecutor,
) -> aclnnStatus;
type Product = unsafe extern "C" fn(
    *const aclTensor,
    *const aclTensor,
    *mut aclTensor,
    *mut u64,
    *mut *mut aclOpExecutor,
) -> aclnnStatus;

/// Runs a function of two tensors over all shapes, types and strides.
fn binary(
    name: &str,
    first: impl Fn(&Array, &Array, &Array, *mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
    second: Phase2,
    f: fn(f64, f64) -> f64,
) {
    for (k, (a, b, shape)) in PAIRS.iter().enumerate() {
        for dtype in FLOATS {
            for (i, lay) in LAYS.iter().enumerate() {
                let a = Array::random(dtype, a, *lay, 1 + k as u64);
                let b = Array::random(dtype, b, LAYS[(i + k) % 4], 100 + k as u64);
                let z = Array::out(dtype, shape, LAYS[(i + 2 * k) % 4]);
                run(|w, e| first(&a, &b, &z, w, e), second);
                let wanted: Vec<_> = (0..z.values.len())
                    .map(|i| f(element(&a, shape, i), element(&b, shape, i)))
                    .collect();
                let what = format!("{name} {shape:?} {dtype} {lay:?}");
                close(&what, &z.read(), &wanted, dtype, 4e-7);
            }
        }
    }
}

#[test]
fn arithmetic_broadcasts_whatever_the_strides_and_types() {
    // bf16 with a factor is two operators; half of a number is exact, so it is rounded once all the same.
    let sums: [Case<(Sum, f32), Of2>; 2] = [
        (
            "add",
            (T.aclnnAddGetWorkspaceSize, 0.5),
            T.aclnnAdd,
            |a, b| a + 0.5 * b,
        ),
        (
            "sub",
            (T.aclnnSubGetWorkspaceSize, 1.0),
            T.aclnnSub,
            |a, b| a - b,
        ),
    ];
    for (name, (first, alpha), second, f) in sums {
        // SAFETY: all pointers are alive.
        let first = |a: &Array, b: &Array, z: &Array, w, e| unsafe {
            first(a.tensor, b.tensor, scalar(alpha), z.tensor, w, e)
        };
        binary(name, first, second, f);
    }
    let products: [Case<Product, Of2>; 2] = [
        ("mul", T.aclnnMulGetWorkspaceSize, T.aclnnMul, |a, b| a * b),
        ("div", T.aclnnDivGetWorkspaceSize, T.aclnnDiv, |a, b| a / b),
    ];
    for (name, first, second, f) in products {
        // SAFETY: all pointers are alive.
        let first = |a: &Array, b: &Array, z: &Array, w, e| unsafe {
            first(a.tensor, b.tensor, z.tensor, w, e)
        };
        binary(name, first, second, f);
    }
}

#[test]
fn two_types_are_computed_in_the_wider_and_rounded_for_the_output() {
    let a = Array::random(ACL_FLOAT16, &[33, 7], Lay::Rows, 5);
    let b = Array::random(ACL_FLOAT, &[33, 7], Lay::Swapped, 6);
    for out in FLOATS {
        let z = Array::out(out, &[33, 7], Lay::Rows);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe { (T.aclnnMulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, w, e) },
            T.aclnnMul,
        );
        let wanted: Vec<_> = a.values.iter().zip(&b.values).map(|(a, b)| a * b).collect();
        close("mul", &z.read(), &wanted, out, 4e-7);
    }
    // f16 by f16 into f32 is an f16 number.
    let b = Array::random(ACL_FLOAT16, &[33, 7], Lay::Rows, 6);
    let z = Array::out(ACL_FLOAT, &[33, 7], Lay::Rows);
    // SAFETY: all pointers are alive.
    run(
        |w, e| unsafe { (T.aclnnMulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, w, e) },
        T.aclnnMul,
    );
    let wanted: Vec<_> = a
        .values
        .iter()
        .zip(&b.values)
        .map(|(a, b)| round(ACL_FLOAT16, a * b))
        .collect();
    assert_eq!(z.read(), wanted);
}

#[test]
fn a_number_beside_f16_has_the_bits_of_f16() {
    let number = 0.182_15f32;
    let held = round(ACL_FLOAT16, number.into());
    assert_ne!(held, f64::from(number));
    for (dtype, factor) in [
        (ACL_FLOAT16, held),
        (ACL_BF16, number.into()),
        (ACL_FLOAT, number.into()),
    ] {
        let x = Array::random(dtype, &[5, 9], Lay::Gaps, 7);
        let z = Array::out(dtype, &[5, 9], Lay::Swapped);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnMulsGetWorkspaceSize)(x.tensor, scalar(number), z.tensor, w, e)
            },
            T.aclnnMuls,
        );
        let wanted: Vec<_> = x.values.iter().map(|x| x * factor).collect();
        close("muls", &z.read(), &wanted, dtype, 1e-8);
        if dtype == ACL_FLOAT16 {
            // The product of two f16 numbers fits f32, so the result is theirs exactly.
            let exact: Vec<_> = wanted.iter().map(|v| round(dtype, *v)).collect();
            assert_eq!(z.read(), exact);
        }
        let term = round(dtype, number.into());
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnAddsGetWorkspaceSize)(x.tensor, scalar(number), scalar(1.0), z.tensor, w, e)
            },
            T.aclnnAdds,
        );
        let wanted: Vec<_> = x.values.iter().map(|x| x + term).collect();
        close("adds", &z.read(), &wanted, dtype, 1e-7);
    }
}

#[test]
fn a_product_is_added_in_one_rounding() {
    for dtype in FLOATS {
        let x = Array::random(dtype, &[3, 4, 5], Lay::Gaps, 8);
        let a = Array::random(dtype, &[4, 1], Lay::Rows, 9);
        let b = Array::random(dtype, &[3, 1, 5], Lay::Swapped, 10);
        let z = Array::out(dtype, &[3, 4, 5], Lay::Reversed);
        // SAFETY: all pointers are alive.
        run(
            |w, e| unsafe {
                (T.aclnnAddcmulGetWorkspaceSize)(
                    x.tensor,
                    a.tensor,
                    b.tensor,
                    scalar(-0.75),
                    z.tensor,
                    w,
                    e,
                )
            },
            T.aclnnAddcmul,
        );
        let s = &z.shape;
        let wanted: Vec<_> = (0..60)
            .map(|i| x.values[i] - 0.75 * element(&a, s, i) * element(&b, s, i))
            .collect();
        close("addcmul", &z.read(), &wanted, dtype, 1e-6);
    }
}

fn erf(x: f64) -> f64 {
    // Abramowitz and Stegun 7.1.6, summed until the terms are gone.
    let (mut term, mut sum) = (x, x);
    for n in 0..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 3);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

type Unary = unsafe extern "C" fn(
    *const aclTensor,
    *mut aclTensor,
    *mut u64,
    *mut *mut aclOpExecutor,
) -> aclnnStatus;

/// Runs a function of one tensor over shapes, types and strides; `spread` is what inputs are multiplied by.
fn unary(
    name: &str,
    first: impl Fn(&Array, &Array, *mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
    second: Phase2,
    spread: f64,
    f: fn(f64) -> f64,
) {
    let shapes = [&[4099][..], &[33, 65], &[2, 3, 5, 7], &[181, 241]];
    for dtype in FLOATS {
        for (i, shape) in shapes.iter().enumerate() {
            let values: Vec<_> = random(shape.iter().product(), 3)
                .iter()
                .map(|v| v * spread)
                .collect();
            let x = Array::new(dtype, shape, LAYS[i], &values);
            let z = Array::out(dtype, shape, LAYS[(i + 1) % 4]);
            run(|w, e| first(&x, &z, w, e), second);
            let wanted: Vec<_> = x.values.iter().map(|x| f(*x)).collect();
            let slack = 2e-7 * wanted.iter().fold(1f64, |m, v| m.max(v.abs()));
            close(
                &format!("{name} {dtype} {shape:?}"),
                &z.read(),
                &wanted,
                dtype,
                slack,
            );
        }
    }
}

#[test]
fn functions_of_one_tensor_are_right_in_every_type() {
    let cases: [Case<Unary, Of1>; 9] = [
        ("neg", T.aclnnNegGetWorkspaceSize, T.aclnnNeg, |x| -x),
        ("exp", T.aclnnExpGetWorkspaceSize, T.aclnnExp, f64::exp),
        ("sin", T.aclnnSinGetWorkspaceSize, T.aclnnSin, f64::sin),
        ("cos", T.aclnnCosGetWorkspaceSize, T.aclnnCos, f64::cos),
        ("tanh", T.aclnnTanhGetWorkspaceSize, T.aclnnTanh, f64::tanh),
        (
            "sigmoid",
            T.aclnnSigmoidGetWorkspaceSize,
            T.aclnnSigmoid,
            |x| 1.0 / (1.0 + (-x).exp()),
        ),
        ("silu", T.aclnnSiluGetWorkspaceSize, T.aclnnSilu, |x| {
            x / (1.0 + (-x).exp())
        }),
        ("gelu", T.aclnnGeluGetWorkspaceSize, T.aclnnGelu, gelu_erf),
        ("sqrt", T.aclnnSqrtGetWorkspaceSize, T.aclnnSqrt, f64::sqrt),
    ];
    for (name, first, second, f) in cases {
        // SAFETY: all pointers are alive.
        let first = |x: &Array, z: &Array, w, e| unsafe { first(x.tensor, z.tensor, w, e) };
        if name.starts_with("sqrt") {
            let x = Array::new(
                ACL_FLOAT16,
                &[9],
                Lay::Rows,
                &[0., 0.25, 1., 2., 3., 4., 5., 1e-4, 6e4],
            );
            let z = Array::out(ACL_FLOAT16, &[9], Lay::Rows);
            run(|w, e| first(&x, &z, w, e), second);
            let wanted: Vec<_> = x.values.iter().map(|x| f(*x)).collect();
            close(name, &z.read(), &wanted, ACL_FLOAT16, 0.0);
        } else {
            unary(name, first, second, 2.5, f);
        }
    }
    // SAFETY: all pointers are alive.
    let relu = |x: &Array, z: &Array, w, e| unsafe {
        (T.aclnnReluGetWorkspaceSize)(x.tensor, z.tensor, w, e)
    };
    unary("relu", relu, T.aclnnRelu, 2.5, |x| x.max(0.0));
    for (approximate, f) in [(0, gelu_erf as fn(f64) -> f64), (1, gelu_tanh)] {
        let gelu = |x: &Array, z: &Array, w, e| {
            // SAFETY: all pointers are alive.
            unsafe { (T.aclnnGeluV2GetWorkspaceSize)(x.tensor, approximate, z.tensor, w, e) }
        };
        unary("gelu v2", gelu, T.aclnnGeluV2, 2.5, f);
    }
}

fn gelu_erf(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
}

fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

#[test]
fn a_cast_rounds_to_nearest_even_and_truncates_to_integers() {
    let values = [
        0.0,
        1.0,
        -1.0,
        2.5,
        -2.5,
        3.49,
        100.75,
        -100.75,
        1.0 + 2f64.powi(-9),
        1.0 + 3.0 * 2f64.powi(-9),
        2049.0,
        2051.0,
    ];
    for from in [
        ACL_FLOAT,
        ACL_FLOAT16,
        ACL_BF16,
        ACL_DOUBLE,
        ACL_INT32,
        ACL_INT64,
        ACL_INT8,
    ] {
        for to in [
            ACL_FLOAT,
            ACL_FLOAT16,
            ACL_BF16,
            ACL_DOUBLE,
            ACL_INT32,
            ACL_INT64,
            ACL_BOOL,
        ] {
            let values: Vec<_> = values
                .iter()
                .map(|v: &f64| {
                    if from == ACL_INT8 {
                        v.clamp(-128.0, 127.0)
                    } else {
                        *v
                    }
                })
                .collect();
            let x = Array::new(from, &[3, 4], Lay::Gaps, &values);
            let z = Array::out(to, &[3, 4], Lay::Swapped);
            // SAFETY: all pointers are alive.
            run(
                |w, e| unsafe { (T.aclnnCastGetWorkspaceSize)(x.tensor, to, z.tensor, w, e) },
                T.aclnnCast,
            );
            let wanted: Vec<_> = x
                .values
                .iter()
                .map(|v| {
                    if to == ACL_BOOL {
                        f64::from(u8::from(*v != 0.0))
                    } else {
                        round(to, *v)
                    }
                })
                .collect();
            assert_eq!(z.read(), wanted, "{from} to {to}");
        }
    }
}
