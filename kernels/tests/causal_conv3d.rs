//! The causal convolution against its formula in f64, checked and computed on the twin.

#![cfg(target_os = "linux")]

use ascendit_kernels::causal_conv3d::{BENCH, Shape, pack, pack_bias, plan};
use ascendit_kernels::chip::CHIPS;
use ascendit_kernels::twin::{Launch, Memory, Modes, kernel};
use ascendit_kernels::{Chip, Operand};
use half::{bf16, f16};

/// A 16-bit type.
trait Element: Copy {
    const NAME: &'static str;
    /// Half of the distance from 1 to the next number.
    const ROUNDING: f64;
    fn of(value: f32) -> Self;
    fn value(self) -> f64;
    fn bits(self) -> u16;
    fn from_bits(bits: u16) -> Self;
}

impl Element for f16 {
    const NAME: &'static str = "f16";
    const ROUNDING: f64 = 1.0 / 2048.0;
    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn value(self) -> f64 {
        self.to_f64()
    }
    fn bits(self) -> u16 {
        self.to_bits()
    }
    fn from_bits(bits: u16) -> Self {
        Self::from_bits(bits)
    }
}

impl Element for bf16 {
    const NAME: &'static str = "bf16";
    const ROUNDING: f64 = 1.0 / 256.0;
    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn value(self) -> f64 {
        self.to_f64()
    }
    fn bits(self) -> u16 {
        self.to_bits()
    }
    fn from_bits(bits: u16) -> Self {
        Self::from_bits(bits)
    }
}

/// Numbers in [-1, 1) by a linear congruential generator.
fn numbers<T: Element>(count: u64, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        T::of((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

fn bytes<T: Element>(values: &[T]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.bits().to_ne_bytes())
        .collect()
}

#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    cached: bool,
    bias: bool,
}

/// Runs a case and compares each number; the bound is that of the stored type and of sums in f32.
fn agrees<T: Element>(case: Case) {
    let Shape {
        batch,
        size: [t, h, w],
        channels: c,
        out_channels: o,
        kernel: [kt, kh, kw],
        stride,
        padding,
        residual,
    } = case.shape;
    let [to, ho, wo] = case.shape.out_size();
    let x = numbers::<T>(batch * t * h * w * c, 1);
    let cache = numbers::<T>(batch * (kt - 1) * h * w * c, 2);
    let weight = numbers::<T>(o * c * kt * kh * kw, 3);
    let bias: Vec<f32> = numbers::<f16>(o, 4).iter().map(|v| v.to_f32()).collect();
    let added = numbers::<T>(batch * to * ho * wo * o, 5);

    let chip = Chip::find("910B2").unwrap();
    let plan = plan(&case.shape, T::NAME, chip).unwrap();
    let mut memory = Memory::default();
    let bits: Vec<u16> = weight.iter().map(|v| v.bits()).collect();
    let packed = pack(&bits, [o, c, kt, kh, kw], T::of(1.0).bits());
    let packed: Vec<u8> = packed.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let out = memory.poisoned(2 * batch * to * ho * wo * o);
    let mut launch = Launch::new(chip.name, plan.blocks, Modes::CHECKED);
    let mut operand = |launch: &mut Launch, present: bool, bytes: Vec<u8>| match present {
        true => {
            let buffer = memory.present(&bytes);
            launch.buffer(buffer, 0);
        }
        false => {
            launch.null();
        }
    };
    operand(&mut launch, true, bytes(&x));
    operand(&mut launch, case.cached, bytes(&cache));
    operand(&mut launch, true, packed);
    operand(
        &mut launch,
        case.bias,
        pack_bias(&bias)
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect(),
    );
    operand(&mut launch, residual, bytes(&added));
    launch.buffer(out, 0).tiling(&plan.tiling);
    launch
        .run(kernel(&plan.kernel).unwrap(), &mut memory)
        .unwrap_or_else(|fault| panic!("{case:?}: {fault}"));

    let stored: Vec<T> = memory
        .bytes(out)
        .chunks_exact(2)
        .map(|pair| T::from_bits(u16::from_ne_bytes([pair[0], pair[1]])))
        .collect();
    let frame = |b: u64, i: i64, y: u64, x_: u64, ch: u64| -> f64 {
        let back = i + kt as i64 - 1;
        if i >= 0 {
            x[((((b * t + i as u64) * h + y) * w + x_) * c + ch) as usize].value()
        } else if case.cached {
            cache[((((b * (kt - 1) + back as u64) * h + y) * w + x_) * c + ch) as usize].value()
        } else {
            x[(((b * t * h + y) * w + x_) * c + ch) as usize].value()
        }
    };
    let mut index = 0;
    for b in 0..batch {
        for ti in 0..to {
            for yi in 0..ho {
                for xi in 0..wo {
                    for oi in 0..o {
                        let mut sum = if case.bias {
                            bias[oi as usize].into()
                        } else {
                            0.0
                        };
                        if residual {
                            sum += added[index].value();
                        }
                        let mut size = f64::abs(sum);
                        for (kti, kyi, kxi) in taps([kt, kh, kw]) {
                            let y = (yi * stride[1] + kyi).wrapping_sub(padding[0].0);
                            let x_ = (xi * stride[2] + kxi).wrapping_sub(padding[1].0);
                            if y >= h || x_ >= w {
                                continue;
                            }
                            let i = (ti * stride[0] + kti) as i64 - (kt as i64 - 1);
                            for ch in 0..c {
                                let at = (((oi * c + ch) * kt + kti) * kh + kyi) * kw + kxi;
                                let product = frame(b, i, y, x_, ch) * weight[at as usize].value();
                                sum += product;
                                size += product.abs();
                            }
                        }
                        let bound = size * (c * kt * kh * kw) as f64 * 6e-8
                            + sum.abs() * T::ROUNDING * 1.001
                            + 1e-7;
                        let have = stored[index].value();
                        assert!(
                            (have - sum).abs() <= bound,
                            "{case:?} {}: entry {index} is {have} and not {sum}",
                            T::NAME
                        );
                        index += 1;
                    }
                }
            }
        }
    }
}

fn taps([kt, kh, kw]: [u64; 3]) -> impl Iterator<Item = (u64, u64, u64)> {
    (0..kt).flat_map(move |t| (0..kh).flat_map(move |y| (0..kw).map(move |x| (t, y, x))))
}

fn case(size: [u64; 3], channels: u64, out_channels: u64, kernel: [u64; 3]) -> Case {
    let same = |k: u64| ((k - 1) / 2, k / 2);
    let shape = Shape {
        batch: 1,
        size,
        channels,
        out_channels,
        kernel,
        stride: [1; 3],
        padding: [same(kernel[1]), same(kernel[2])],
        residual: false,
    };
    Case {
        shape,
        cached: false,
        bias: true,
    }
}

fn both(case: Case) {
    agrees::<f16>(case);
    agrees::<bf16>(case);
}

#[test]
fn kernels_of_all_extents_agree_with_the_formula() {
    for kernel in [
        [3, 3, 3],
        [1, 3, 3],
        [1, 1, 1],
        [3, 1, 1],
        [2, 3, 5],
        [1, 2, 2],
    ] {
        both(case([3, 9, 13], 16, 24, kernel));
    }
}

#[test]
fn channels_of_all_counts_agree_with_the_formula() {
    for (channels, out_channels) in [
        (3, 3),
        (8, 17),
        (20, 16),
        (48, 33),
        (130, 5),
        (5, 136),
        (144, 260),
    ] {
        both(case([2, 5, 7], channels, out_channels, [3, 3, 3]));
    }
}

#[test]
fn images_of_all_extents_agree_with_the_formula() {
    for size in [
        [1, 1, 1],
        [4, 1, 40],
        [2, 33, 3],
        [1, 17, 64],
        [3, 22, 80],
        [2, 3, 130],
    ] {
        both(case(size, 8, 16, [3, 3, 3]));
    }
}

#[test]
fn wide_images_whose_rows_are_too_far_apart_for_one_copy_agree_with_the_formula() {
    both(case([1, 5, 528], 128, 8, [1, 3, 3]));
    both(case([1, 4, 528], 8, 144, [1, 3, 3]));
    both(case([1, 4, 531], 8, 144, [1, 3, 3]));
}

#[test]
fn strides_and_one_sided_padding_agree_with_the_formula() {
    for (stride, padding) in [
        ([2, 2, 2], [(0, 1), (0, 1)]),
        ([1, 2, 2], [(1, 1), (1, 1)]),
        ([3, 1, 2], [(0, 0), (2, 0)]),
        ([1, 3, 1], [(0, 2), (1, 0)]),
    ] {
        let mut case = case([5, 20, 37], 20, 40, [3, 3, 3]);
        case.shape.stride = stride;
        case.shape.padding = padding;
        both(case);
    }
}

#[test]
fn frames_of_a_cache_stand_before_the_first() {
    for kernel in [[3, 3, 3], [2, 1, 3]] {
        let mut case = case([2, 8, 19], 24, 32, kernel);
        case.cached = true;
        case.shape.batch = 2;
        both(case);
    }
}

#[test]
fn a_residual_is_added_exactly_once() {
    for (channels, out_channels) in [(16, 16), (40, 200), (24, 20), (16, 130)] {
        let mut case = case([2, 7, 21], channels, out_channels, [3, 3, 3]);
        case.shape.residual = true;
        both(case);
        case.bias = false;
        agrees::<f16>(case);
    }
}

#[test]
fn more_tiles_than_cores_agree_with_the_formula() {
    let mut case = case([2, 40, 96], 8, 160, [2, 3, 3]);
    case.shape.residual = true;
    both(case);
}

#[test]
fn what_the_kernel_does_not_take_is_refused() {
    let chip = &CHIPS[0];
    let refused = |change: &dyn Fn(&mut Shape)| {
        let mut shape = case([2, 8, 8], 16, 16, [3, 3, 3]).shape;
        change(&mut shape);
        plan(&shape, "f16", chip).unwrap_err()
    };
    assert_eq!(refused(&|s| s.channels = 0), "an axis has no entries");
    assert_eq!(
        refused(&|s| s.padding[0] = (3, 0)),
        "padding is as wide as the kernel"
    );
    assert_eq!(refused(&|s| s.stride[2] = 64), "a stride is not in 1..63");
    assert_eq!(
        refused(&|s| s.kernel[0] = 17),
        "the kernel is larger than 16 along an axis"
    );
    assert_eq!(
        refused(&|s| (s.size[1], s.padding[0]) = (1, (0, 0))),
        "the kernel is larger than the image with its padding"
    );
}

/// A layer of WF-VAE's decoder (base 128, flow 128) for a latent of 24 x 44 x 80.
struct Layer {
    size: [u64; 3],
    channels: [u64; 2],
    kernel: [u64; 3],
    /// What of the cube's peak the model must give it.
    share: f64,
}

const fn layer(size: [u64; 3], channels: [u64; 2], kernel: [u64; 3], share: f64) -> Layer {
    Layer {
        size,
        channels,
        kernel,
        share,
    }
}

#[rustfmt::skip]
const LAYERS: [Layer; 20] = [
    layer([24, 44, 80], [8, 512], [3, 3, 3], 0.0),
    layer([24, 44, 80], [512, 512], [3, 3, 3], 0.75),
    layer([24, 44, 80], [512, 640], [3, 3, 3], 0.75),
    layer([24, 44, 80], [640, 640], [3, 3, 3], 0.75),
    layer([24, 44, 80], [512, 640], [1, 1, 1], 0.0),
    layer([24, 44, 80], [128, 128], [3, 3, 3], 0.75),
    layer([24, 44, 80], [128, 24], [1, 3, 3], 0.0),
    layer([47, 88, 160], [512, 512], [3, 3, 3], 0.75),
    layer([47, 88, 160], [512, 640], [3, 3, 3], 0.75),
    layer([47, 88, 160], [640, 640], [3, 3, 3], 0.75),
    layer([47, 88, 160], [128, 128], [3, 3, 3], 0.75),
    layer([47, 88, 160], [512, 256], [3, 3, 3], 0.75),
    layer([47, 88, 160], [256, 256], [3, 3, 3], 0.75),
    layer([47, 88, 160], [512, 256], [1, 1, 1], 0.0),
    layer([47, 176, 320], [256, 256], [1, 3, 3], 0.75),
    layer([47, 176, 320], [256, 256], [3, 3, 3], 0.75),
    layer([47, 176, 320], [256, 128], [3, 3, 3], 0.75),
    layer([47, 176, 320], [128, 128], [3, 3, 3], 0.75),
    layer([47, 176, 320], [256, 128], [1, 1, 1], 0.0),
    layer([47, 176, 320], [128, 24], [1, 3, 3], 0.0),
];

#[test]
fn wide_layers_of_the_decoder_keep_the_cube_busy() {
    let chip = Chip::find("910B2").unwrap();
    println!(
        "size, channels, kernel: tile rows x columns, depth, step: us, share of the peak; busy M MTE1 MTE2 FIX; GB read, of it from HBM"
    );
    for layer in &LAYERS {
        let [kt, k, _] = layer.kernel;
        let [t, h, w] = layer.size;
        let [c, o] = layer.channels;
        let numbers = [1, t, h, w, c, o, kt, k];
        let (plan, operands) = (BENCH.plan)(&numbers, "bf16", chip).unwrap();
        let mut memory = Memory::default();
        let mut launch = Launch::new(chip.name, plan.blocks, Modes::TIMED);
        for operand in operands {
            match operand {
                Operand::Absent(bytes) => launch.buffer(memory.absent(bytes), 0),
                Operand::Present(bytes) => launch.buffer(memory.present(&bytes), 0),
                Operand::Null => launch.null(),
            };
        }
        launch.tiling(&plan.tiling);
        let outcome = launch
            .run(kernel(&plan.kernel).unwrap(), &mut memory)
            .unwrap();
        // 24 cores at 1800 MHz, 8192 operations per cycle.
        let share = plan.flops as f64 / (24.0 * 8192.0) / outcome.cycles;
        let busy = |of: fn(&ascendit_kernels::twin::Core) -> f64| {
            100.0 * outcome.cores.iter().map(of).sum::<f64>()
                / outcome.cores.len() as f64
                / outcome.cycles
        };
        let word = |at: usize| u32::from_ne_bytes(plan.tiling[4 * at..][..4].try_into().unwrap());
        println!(
            "{t}x{h}x{w} {c}->{o} {kt}x{k}x{k}: {}x{} {} {}: {:.0} us {share:.3}; {:.0} {:.0} {:.0} {:.0} %; {:.2} {:.2} GB",
            word(16),
            word(17),
            word(20),
            word(21),
            outcome.microseconds,
            busy(|core| core.M.0),
            busy(|core| core.MTE1.0),
            busy(|core| core.MTE2.0),
            busy(|core| core.FIX.0),
            outcome.read as f64 / 1e9,
            outcome.hbm_read as f64 / 1e9,
        );
        assert!(
            share >= layer.share,
            "{numbers:?}: {share:.3} of the peak, {} wanted",
            layer.share
        );
    }
}
