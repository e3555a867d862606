//! Every operator once, with numbers that show whether its arguments are passed on rightly.

use ascendit::cann::{
    AttentionLayout, ConvArgs, ElementType, FlashArgs, Format, Gelu, Layout, Ops, Prepared,
    PromptArgs, Tensor,
};
use ascendit::{Error, Result};
use half::f16;

use crate::twin::{Device, shared};

/// Runs one operator with an output of a shape and compares.
fn gives(
    device: &Device,
    shape: &[usize],
    expected: &[f32],
    operator: impl FnOnce(Ops<'_>, &Tensor) -> Result<Prepared>,
) {
    let out = device.tensor(shape, &vec![f32::NAN; expected.len()]);
    let operator = operator(device.context.ops(), &out).unwrap();
    let name = operator.name();
    device.launch(operator);
    let got = device.read(&out);
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    assert!(
        got.iter().zip(expected).all(near),
        "{name}: {got:?} instead of {expected:?}"
    );
}

#[test]
fn elementwise_operators_take_their_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let d = &device;
    let x = d.tensor(&[3], &[-1.0, 0.5, 2.0]);
    let y = d.tensor(&[3], &[4.0, 8.0, 16.0]);
    let one = d.tensor(&[1], &[10.0]);
    gives(d, &[3], &[3.0, 8.5, 18.0], |ops, out| ops.add(&x, &y, out));
    gives(d, &[3], &[9.0, 10.5, 12.0], |ops, out| {
        ops.add(&x, &one, out)
    });
    gives(d, &[3], &[-5.0, -7.5, -14.0], |ops, out| {
        ops.sub(&x, &y, out)
    });
    gives(d, &[3], &[-4.0, 4.0, 32.0], |ops, out| ops.mul(&x, &y, out));
    gives(d, &[3], &[-0.25, 0.0625, 0.125], |ops, out| {
        ops.div(&x, &y, out)
    });
    gives(d, &[3], &[2.0, 3.5, 5.0], |ops, out| {
        ops.add_scalar(&x, 3.0, out)
    });
    gives(d, &[3], &[-3.0, 1.5, 6.0], |ops, out| {
        ops.mul_scalar(&x, 3.0, out)
    });
    gives(d, &[3], &[-21.0, 20.5, 162.0], |ops, out| {
        ops.addcmul(&x, &x, &y, 5.0, out)
    });
    gives(d, &[3], &[1.0, -0.5, -2.0], |ops, out| ops.neg(&x, out));
    gives(d, &[3], &[0.0, 0.5, 2.0], |ops, out| ops.relu(&x, out));
    gives(d, &[3], &[2.0, 8.0f32.sqrt(), 4.0], |ops, out| {
        ops.sqrt(&y, out)
    });
    let of = |f: fn(f32) -> f32| [-1.0, 0.5, 2.0].map(f);
    gives(d, &[3], &of(f32::exp), |ops, out| ops.exp(&x, out));
    gives(d, &[3], &of(f32::sin), |ops, out| ops.sin(&x, out));
    gives(d, &[3], &of(f32::cos), |ops, out| ops.cos(&x, out));
    gives(d, &[3], &of(f32::tanh), |ops, out| ops.tanh(&x, out));
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    gives(d, &[3], &of(sigmoid), |ops, out| ops.sigmoid(&x, out));
    gives(d, &[3], &of(|x| x / (1.0 + (-x).exp())), |ops, out| {
        ops.silu(&x, out)
    });
    let exact = [-0.158_655_26, 0.345_731_23, 1.954_499_7];
    gives(d, &[3], &exact, |ops, out| ops.gelu(&x, out));
    gives(d, &[3], &exact, |ops, out| {
        ops.gelu_v2(&x, Gelu::Exact, out)
    });
    let tanh = [-0.158_808_01, 0.345_714, 1.954_597_7];
    gives(d, &[3], &tanh, |ops, out| ops.gelu_v2(&x, Gelu::Tanh, out));
}

#[test]
fn casts_change_the_type() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let x = device.tensor(&[3], &[-1.0, 0.5, 2.75]);
    let buffer = device.context.alloc(6).unwrap();
    let half = Tensor::new(&buffer, Layout::contiguous(ElementType::F16, &[3])).unwrap();
    let cast = device.context.ops().cast(&x, ElementType::F16, &half);
    device.launch(cast.unwrap());
    let bytes = device.stream.download(&buffer, 0, 6).unwrap();
    let expected = [-1.0, 0.5, 2.75].map(f16::from_f32);
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, f16>(&bytes), expected);
    gives(&device, &[3], &[-1.0, 0.5, 2.75], |ops, out| {
        ops.cast(&half, ElementType::F32, out)
    });
}

#[test]
fn products_take_their_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let d = &device;
    let a = d.tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = d.tensor(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    gives(d, &[2, 2], &[4.0, 5.0, 10.0, 11.0], |ops, out| {
        ops.matmul(&a, &b, out)
    });
    let bias = d.tensor(&[2], &[100.0, 200.0]);
    gives(d, &[2, 2], &[104.0, 205.0, 110.0, 211.0], |ops, out| {
        ops.addmm(&bias, &a, &b, out)
    });
    // The same through a view whose axes are exchanged.
    let columns = d.tensor(&[2, 3], &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
    let layout = Layout {
        shape: vec![3, 2],
        strides: vec![1, 3],
        ..columns.layout().clone()
    };
    let turned = Tensor::new(columns.buffer(), layout).unwrap();
    gives(d, &[2, 2], &[4.0, 5.0, 10.0, 11.0], |ops, out| {
        ops.matmul(&a, &turned, out)
    });
    let pairs = d.tensor(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
    let with = d.tensor(&[2, 2, 1], &[5.0, 6.0, 7.0, 8.0]);
    gives(d, &[2, 1, 1], &[17.0, 53.0], |ops, out| {
        ops.batch_matmul(&pairs, &with, out)
    });

    // Two channels in two groups; along the last axis steps of 2, padding 1 and gaps of 2.
    let signal: Vec<f32> = (1..=10).map(|i| i as f32).collect();
    let input = d.image(Format::Ncdhw, &[1, 2, 1, 1, 5], &signal);
    let weight = d.image(Format::Ncdhw, &[2, 1, 1, 1, 2], &[1.0, 10.0, 1.0, 100.0]);
    let out = d.image(Format::Ncdhw, &[1, 2, 1, 1, 3], &[0.0; 6]);
    let bias = d.tensor(&[2], &[0.5, 0.25]);
    let conv = device.context.ops().conv(ConvArgs {
        input: &input,
        weight: &weight,
        bias: Some(&bias),
        stride: &[1, 1, 2],
        padding: &[0, 0, 1],
        dilation: &[1, 1, 2],
        groups: 2,
        out: &out,
    });
    device.launch(conv.unwrap());
    assert_eq!(device.read(&out), [20.5, 42.5, 4.5, 700.25, 907.25, 9.25]);
}

/// One head, two queries and three keys of size 2; the last key is not looked at.
#[test]
fn attention_takes_its_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let half = |shape: &[usize], elements: &[f32]| {
        let elements: Vec<f16> = elements.iter().map(|&x| f16::from_f32(x)).collect();
        let buffer = device.buffer(bytemuck::cast_slice(&elements));
        Tensor::new(&buffer, Layout::contiguous(ElementType::F16, shape)).unwrap()
    };
    // BSH: a query that prefers the first key, one that does not care.
    let pad = |row: [f32; 2]| {
        let mut padded = [0.0; 16];
        padded[..2].copy_from_slice(&row);
        padded
    };
    let rows = |rows: &[[f32; 2]]| rows.iter().flat_map(|&row| pad(row)).collect::<Vec<_>>();
    let query = half(&[1, 2, 16], &rows(&[[2.0, 0.0], [0.0, 0.0]]));
    let key = half(&[1, 3, 16], &rows(&[[1.0, 0.0], [0.0, 0.0], [50.0, 0.0]]));
    let value = half(&[1, 3, 16], &rows(&[[1.0, 8.0], [0.0, 4.0], [99.0, 99.0]]));
    let p = 1.0 / (1.0 + (-1.0f32).exp());
    let expected = [p, 8.0 * p + 4.0 * (1.0 - p), 0.5, 6.0];
    let check = |name: &str, out: &Tensor| {
        let bytes = device.stream.download(out.buffer(), 0, 2 * 2 * 16).unwrap();
        let got = bytemuck::pod_collect_to_vec::<u8, f16>(&bytes);
        let got = [got[0], got[1], got[16], got[17]].map(f16::to_f32);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.01;
        assert!(got.iter().zip(&expected).all(near), "{name}: {got:?}");
    };

    let out = half(&[1, 2, 16], &[0.0; 32]);
    let mask = device.buffer(&[0, 0, 1, 0, 0, 1]);
    let mask = Tensor::new(&mask, Layout::contiguous(ElementType::Bool, &[2, 3])).unwrap();
    let statistics = [(); 2].map(|()| device.tensor(&[1, 1, 2, 8], &[0.0; 16]));
    let flash = device.context.ops().flash_attention(FlashArgs {
        query: &query,
        key: &key,
        value: &value,
        bias: None,
        mask: Some(&mask),
        masked_rows: false,
        heads: 1,
        scale: 0.5,
        layout: AttentionLayout::Bsh,
        softmax_max: &statistics[0],
        softmax_sum: &statistics[1],
        out: &out,
    });
    device.launch(flash.unwrap());
    check("flash", &out);

    assert!(cann.has_prompt_attention());
    let out = half(&[1, 2, 16], &[0.0; 32]);
    let prompt = device.context.ops().prompt_attention(PromptArgs {
        query: &query,
        key: &key,
        value: &value,
        bias: None,
        mask: None,
        lengths: None,
        key_lengths: Some(&[2]),
        masked_rows: false,
        half_softmax: false,
        heads: 1,
        key_heads: 1,
        scale: 0.5,
        layout: AttentionLayout::Bsh,
        out: &out,
    });
    device.launch(prompt.unwrap());
    check("prompt", &out);

    let x = device.tensor(&[2, 2], &[0.0, 0.0, 1.0, 0.0]);
    gives(&device, &[2, 2], &[0.5, 0.5, p, 1.0 - p], |ops, out| {
        ops.softmax(&x, 1, out)
    });
    let q = 1.0 / (1.0 + 1f32.exp());
    gives(&device, &[2, 2], &[q, 0.5, 1.0 - q, 0.5], |ops, out| {
        ops.softmax(&x, 0, out)
    });
}

#[test]
fn norms_take_their_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let d = &device;
    let x = d.tensor(&[2, 2], &[1.0, 3.0, 2.0, 10.0]);
    let weight = d.tensor(&[2], &[1.0, 2.0]);
    let bias = d.tensor(&[2], &[100.0, 200.0]);
    gives(d, &[2, 2], &[-1.0, 1.0, -1.0, 1.0], |ops, out| {
        ops.layer_norm(&x, &[2], None, None, 1e-12, out)
    });
    gives(d, &[2, 2], &[99.0, 202.0, 99.0, 202.0], |ops, out| {
        ops.layer_norm(&x, &[2], Some(&weight), Some(&bias), 1e-12, out)
    });
    let rstd = d.tensor(&[2, 1], &[0.0; 2]);
    let factors = [1.0 / 5f32.sqrt(), 1.0 / 52f32.sqrt()];
    let expected = [
        factors[0],
        6.0 * factors[0],
        2.0 * factors[1],
        20.0 * factors[1],
    ];
    gives(d, &[2, 2], &expected, |ops, out| {
        ops.rms_norm(&x, &weight, 1e-12, out, &rstd)
    });
    let got = d.read(&rstd);
    assert!((got[0] - factors[0]).abs() + (got[1] - factors[1]).abs() < 1e-5);

    // Two groups of one channel each.
    let image = d.image(Format::Ncdhw, &[1, 2, 1, 1, 2], &[1.0, 3.0, 2.0, 10.0]);
    let [mean, rstd] = [(); 2].map(|()| d.tensor(&[1, 2], &[0.0; 2]));
    let out = d.image(Format::Ncdhw, &[1, 2, 1, 1, 2], &[0.0; 4]);
    let (gamma, beta) = (Some(&weight), Some(&bias));
    let norm = d
        .context
        .ops()
        .group_norm(&image, gamma, beta, 2, 1e-12, &out, &mean, &rstd);
    d.launch(norm.unwrap());
    assert_eq!(d.read(&mean), [2.0, 6.0]);
    assert_eq!(d.read(&rstd), [1.0, 0.25]);
    assert_eq!(d.read(&out), [99.0, 101.0, 198.0, 202.0]);
}

#[test]
fn reductions_take_their_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let d = &device;
    let x = d.tensor(&[2, 3], &[1.0, 2.0, 6.0, -4.0, 0.0, 1.0]);
    gives(d, &[2, 1], &[3.0, -1.0], |ops, out| ops.mean(&x, &[1], out));
    gives(d, &[3], &[-1.5, 1.0, 3.5], |ops, out| {
        ops.mean(&x, &[0], out)
    });
    gives(d, &[2], &[9.0, -3.0], |ops, out| ops.sum(&x, &[1], out));
    gives(d, &[1, 1], &[6.0], |ops, out| ops.sum(&x, &[0, 1], out));
    gives(d, &[1, 3], &[1.0, 2.0, 6.0], |ops, out| {
        ops.max(&x, &[0], out)
    });
    gives(d, &[2], &[6.0, 1.0], |ops, out| ops.max(&x, &[1], out));
}

#[test]
fn movements_take_their_arguments() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let d = &device;
    let x = d.tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    gives(d, &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], |ops, out| {
        ops.permute(&x, &[1, 0], out)
    });
    let y = d.tensor(&[2, 1], &[7.0, 8.0]);
    gives(
        d,
        &[2, 4],
        &[7.0, 1.0, 2.0, 3.0, 8.0, 4.0, 5.0, 6.0],
        |ops, out| ops.cat(&[&y, &x], 1, out),
    );
    // The second column, backwards and forwards.
    let column = Tensor::new(
        x.buffer(),
        Layout {
            shape: vec![2],
            strides: vec![3],
            offset: 1,
            ..x.layout().clone()
        },
    )
    .unwrap();
    gives(d, &[2], &[2.0, 5.0], |ops, out| ops.copy(&column, out));
    let two = d.tensor(&[2], &[20.0, 50.0]);
    d.launch(d.context.ops().copy(&two, &column).unwrap());
    assert_eq!(d.read(&x), [1.0, 20.0, 3.0, 4.0, 50.0, 6.0]);

    let padded = [9.0, 9.0, 9.0, 9.0, 7.0, 9.0, 9.0, 8.0, 9.0];
    gives(d, &[3, 3], &padded, |ops, out| {
        ops.pad(&y, &[(1, 0), (1, 1)], 9.0, out)
    });
    let indices = d.buffer(bytemuck::cast_slice(&[1i64, 0, 1]));
    let indices = Tensor::new(&indices, Layout::contiguous(ElementType::I64, &[3])).unwrap();
    let rows = [4.0, 50.0, 6.0, 1.0, 20.0, 3.0, 4.0, 50.0, 6.0];
    gives(d, &[3, 3], &rows, |ops, out| {
        ops.embedding(&x, &indices, out)
    });

    let image = d.image(Format::Ncdhw, &[1, 1, 1, 1, 2], &[1.0, 3.0]);
    let sized = |scale: f64, align: Option<bool>| {
        let out = d.image(Format::Ncdhw, &[1, 1, 1, 1, 4], &[0.0; 4]);
        let (size, scales) = ([1, 1, 4], [1.0, 1.0, scale]);
        let ops = d.context.ops();
        let upsample = match align {
            None => ops.upsample_nearest(&image, size, scales, &out),
            Some(align) => ops.upsample_trilinear(&image, size, align, scales, &out),
        };
        d.launch(upsample.unwrap());
        d.read(&out)
    };
    assert_eq!(sized(2.0, None), [1.0, 1.0, 3.0, 3.0]);
    assert_eq!(sized(2.0, Some(false)), [1.0, 1.5, 2.5, 3.0]);
    let aligned = sized(2.0, Some(true));
    let near = |(a, b): (f32, f32)| (a - b).abs() < 1e-5;
    let expected = [1.0, 1.0 + 2.0 / 3.0, 1.0 + 4.0 / 3.0, 3.0];
    assert!(aligned.into_iter().zip(expected).all(near));
}

#[test]
fn a_refusal_names_the_operator_the_code_and_the_reason() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let x = device.tensor(&[3], &[0.0; 3]);
    let y = device.tensor(&[2], &[0.0; 2]);
    let error = device
        .context
        .ops()
        .add(&x, &y, &x)
        .expect_err("shapes do not fit");
    assert!(matches!(&error, Error::Device { device, .. } if device == "twin:0"));
    let error = error.to_string();
    let expected = "twin:0: aclnnAddGetWorkspaceSize failed (161002 ACLNN_ERR_PARAM_INVALID: the \
                    operator does not take these arguments); CANN says: ";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.len() > expected.len() + 20, "{error}");
}
