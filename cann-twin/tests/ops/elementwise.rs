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

type Binary = (
    &'static str,
    fn(&Array, &Array, &Array, *mut u64, *mut *mut aclOpExecutor) -> i32,
    Phase2,
    fn(f64, f64) -> f64,
);

#[test]
fn arithmetic_broadcasts_whatever_the_strides_and_types() {
    // SAFETY (of the calls): all pointers are alive.
    let cases: [Binary; 4] = [
        (
            "add",
            |a, b, z, w, e| unsafe {
                (T.aclnnAddGetWorkspaceSize)(a.tensor, b.tensor, scalar(0.5), z.tensor, w, e)
            },
            T.aclnnAdd,
            |a, b| a + 0.5 * b,
        ),
        (
            "sub",
            |a, b, z, w, e| unsafe {
                (T.aclnnSubGetWorkspaceSize)(a.tensor, b.tensor, scalar(1.0), z.tensor, w, e)
            },
            T.aclnnSub,
            |a, b| a - b,
        ),
        (
            "mul",
            |a, b, z, w, e| unsafe {
                (T.aclnnMulGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, w, e)
            },
            T.aclnnMul,
            |a, b| a * b,
        ),
        (
            "div",
            |a, b, z, w, e| unsafe {
                (T.aclnnDivGetWorkspaceSize)(a.tensor, b.tensor, z.tensor, w, e)
            },
            T.aclnnDiv,
            |a, b| a / b,
        ),
    ];
    for (name, first, second, f) in cases {
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
                    // bf16 with a factor is two operators: half of a number is exact, so one rounding all the same.
                    close(
                        &format!("{name} {shape:?} {dtype} {lay:?}"),
                        &z.read(),
                        &wanted,
                        dtype,
                        4e-7,
                    );
                }
            }
        }
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

type Unary = (
    &'static str,
    fn(&Array, &Array, *mut u64, *mut *mut aclOpExecutor) -> i32,
    Phase2,
    fn(f64) -> f64,
);

#[test]
fn functions_of_one_tensor_are_right_in_every_type() {
    // SAFETY (of the calls): all pointers are alive.
    let cases: [Unary; 12] = [
        (
            "neg",
            |x, z, w, e| unsafe { (T.aclnnNegGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnNeg,
            |x| -x,
        ),
        (
            "exp",
            |x, z, w, e| unsafe { (T.aclnnExpGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnExp,
            f64::exp,
        ),
        (
            "sqrt",
            |x, z, w, e| unsafe { (T.aclnnSqrtGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnSqrt,
            f64::sqrt,
        ),
        (
            "sin",
            |x, z, w, e| unsafe { (T.aclnnSinGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnSin,
            f64::sin,
        ),
        (
            "cos",
            |x, z, w, e| unsafe { (T.aclnnCosGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnCos,
            f64::cos,
        ),
        (
            "tanh",
            |x, z, w, e| unsafe { (T.aclnnTanhGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnTanh,
            f64::tanh,
        ),
        (
            "sigmoid",
            |x, z, w, e| unsafe { (T.aclnnSigmoidGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnSigmoid,
            |x| 1.0 / (1.0 + (-x).exp()),
        ),
        (
            "silu",
            |x, z, w, e| unsafe { (T.aclnnSiluGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnSilu,
            |x| x / (1.0 + (-x).exp()),
        ),
        (
            "relu",
            |x, z, w, e| unsafe { (T.aclnnReluGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnRelu,
            |x| x.max(0.0),
        ),
        (
            "gelu",
            |x, z, w, e| unsafe { (T.aclnnGeluGetWorkspaceSize)(x.tensor, z.tensor, w, e) },
            T.aclnnGelu,
            |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        ),
        (
            "gelu erf",
            |x, z, w, e| unsafe { (T.aclnnGeluV2GetWorkspaceSize)(x.tensor, 0, z.tensor, w, e) },
            T.aclnnGeluV2,
            |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        ),
        (
            "gelu tanh",
            |x, z, w, e| unsafe { (T.aclnnGeluV2GetWorkspaceSize)(x.tensor, 1, z.tensor, w, e) },
            T.aclnnGeluV2,
            |x| {
                0.5 * x
                    * (1.0
                        + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            },
        ),
    ];
    for (name, first, second, f) in cases {
        for dtype in FLOATS {
            for (i, shape) in [&[4099][..], &[33, 65], &[2, 3, 5, 7], &[181, 241]]
                .iter()
                .enumerate()
            {
                let spread = if name == "sqrt" { 0.0 } else { 1.0 };
                let values: Vec<_> = random(shape.iter().product(), 3)
                    .iter()
                    .map(|v| if spread == 0.0 { v.abs() } else { v * 2.5 })
                    .collect();
                let x = Array::new(dtype, shape, LAYS[i], &values);
                let z = Array::out(dtype, shape, LAYS[(i + 1) % 4]);
                run(|w, e| first(&x, &z, w, e), second);
                let wanted: Vec<_> = x.values.iter().map(|x| f(*x)).collect();
                let slack = if name == "exp" { 4e-5 } else { 2e-6 };
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
