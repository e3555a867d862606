//! Vector kernels against their formulas in f64, with all checks of the twin on. Here is what their tests share: 16-bit operands,
//! launches, comparison.

mod ada_layer_norm;
mod gated_residual;
mod haar;
mod norm_silu;
mod rope;
mod upsample;

use ascendit_kernels::twin::{Launch, Memory, Modes, kernel};
use ascendit_kernels::{Chip, Plan};
use half::{bf16, f16};

/// A 16-bit type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    F16,
    Bf16,
}

const TYPES: [Type; 2] = [Type::F16, Type::Bf16];

impl Type {
    fn name(self) -> &'static str {
        ["f16", "bf16"][self as usize]
    }

    fn bits(self, value: f64) -> u16 {
        match self {
            Self::F16 => f16::from_f64(value).to_bits(),
            Self::Bf16 => bf16::from_f64(value).to_bits(),
        }
    }

    fn value(self, bits: u16) -> f64 {
        match self {
            Self::F16 => f16::from_bits(bits).to_f64(),
            Self::Bf16 => bf16::from_bits(bits).to_f64(),
        }
    }

    /// Half of the distance between neighbouring values, relative.
    fn rounding(self) -> f64 {
        [1.0 / 2048.0, 1.0 / 256.0][self as usize]
    }

    /// Half of the distance between the smallest values.
    fn smallest(self) -> f64 {
        [f64::from_bits((1023 - 25) << 52), 0.0][self as usize]
    }

    fn round(self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|v| self.value(self.bits(*v))).collect()
    }

    fn pack(self, values: &[f64]) -> Vec<u8> {
        let bytes = values.iter().map(|v| self.bits(*v).to_le_bytes());
        bytes.flatten().collect()
    }
}

/// Numbers that are the same in every run: sums of four uniform ones, about normal.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    fn values(&mut self, count: u64, mean: f64, deviation: f64) -> Vec<f64> {
        let one = |random: &mut Self| (0..4).map(|_| random.uniform()).sum::<f64>() * 1.732;
        (0..count).map(|_| mean + deviation * one(self)).collect()
    }
}

/// An argument of a kernel.
enum Argument<'a> {
    /// 16-bit values.
    Narrow(&'a [f64]),
    F32(&'a [f64]),
    Null,
    /// So many 16-bit values, which the kernel writes.
    Out(u64),
    /// The plan's workspace.
    Workspace,
}

fn chip() -> &'static Chip {
    Chip::find("910B2").expect("a chip that the twin knows")
}

/// Launches a plan with all checks; the output as numbers.
fn run(chip: &Chip, plan: &Plan, dtype: Type, arguments: &[Argument<'_>]) -> Vec<f64> {
    let mut memory = Memory::default();
    let mut launch = Launch::new(chip.name, plan.blocks, Modes::CHECKED);
    let mut out = None;
    for argument in arguments {
        let buffer = match argument {
            Argument::Narrow(values) => memory.present(&dtype.pack(values)),
            Argument::F32(values) => {
                let bytes = values.iter().map(|v| (*v as f32).to_le_bytes());
                memory.present(&bytes.flatten().collect::<Vec<u8>>())
            }
            Argument::Null => {
                launch.null();
                continue;
            }
            Argument::Out(values) => *out.insert(memory.poisoned(2 * values)),
            Argument::Workspace => memory.poisoned(plan.workspace),
        };
        launch.buffer(buffer, 0);
    }
    launch.tiling(&plan.tiling);
    let kernel = kernel(&plan.kernel).unwrap_or_else(|| panic!("no kernel {}", plan.kernel));
    if let Err(fault) = launch.run(kernel, &mut memory) {
        panic!("{fault}");
    }
    let bits = memory.bytes(out.expect("an output"));
    let words = bits.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    words.map(|word| dtype.value(word)).collect()
}

/// Every value must be the formula's, rounded to the type, but for `noise` of f32 arithmetic.
#[track_caller]
fn check(case: &str, dtype: Type, got: &[f64], want: &[f64], noise: f64) {
    assert_eq!(got.len(), want.len(), "{case}: sizes");
    let excess = |i: usize| {
        let limit = dtype.rounding() * 1.01 * want[i].abs() + dtype.smallest() + noise;
        let error = (got[i] - want[i]).abs();
        if error.is_nan() {
            f64::INFINITY
        } else {
            error / limit
        }
    };
    let worst = (0..got.len()).max_by(|a, b| excess(*a).total_cmp(&excess(*b)));
    if let Some(worst) = worst.filter(|worst| excess(*worst) > 1.0) {
        panic!(
            "{case} in {}: value {worst} of {} is {}, and the formula gives {}",
            dtype.name(),
            got.len(),
            got[worst],
            want[worst]
        );
    }
}
