//! `attention` on the twin against the formula in f64.

#![cfg(target_os = "linux")]

use ascendit_kernels::attention::{Attention, AttentionStrides, plan};
use ascendit_kernels::twin::{Launch, Memory, Modes, kernel};
use ascendit_kernels::{Chip, Plan};
use half::{bf16, f16};

/// Numbers that look random: the same in every run.
struct Numbers(u64);

impl Numbers {
    /// Between -1 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    }
}

/// A 16-bit type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    F16,
    Bf16,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
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
}

/// A case, and what comes of it.
#[derive(Clone)]
struct Case {
    attention: Attention,
    dtype: Type,
    lengths: Option<Vec<i32>>,
    bias: Option<Vec<f32>>,
    /// Size of the queries' and keys' entries.
    size: f64,
    /// Elements of q and out, of k and v.
    elements: [u64; 2],
}

impl Case {
    fn new(dtype: Type, [batch, heads, queries, keys, head_dim]: [u64; 5]) -> Self {
        Self {
            attention: Attention::contiguous(batch, heads, queries, keys, head_dim),
            dtype,
            lengths: None,
            bias: None,
            size: 1.0,
            elements: [
                batch * heads * queries * head_dim,
                batch * heads * keys * head_dim,
            ],
        }
    }
    fn lengths(mut self, lengths: &[i32]) -> Self {
        self.attention.masks.lengths = true;
        self.lengths = Some(lengths.to_vec());
        self
    }
    fn bias(mut self, bias: Vec<f32>) -> Self {
        self.attention.masks.bias = true;
        self.bias = Some(bias);
        self
    }
    fn causal(mut self) -> Self {
        self.attention.masks.causal = true;
        self
    }
    fn size(mut self, size: f64) -> Self {
        self.size = size;
        self
    }
    fn half_scores(mut self) -> Self {
        self.attention.half_scores = true;
        self
    }

    fn plan(&self) -> Plan {
        plan(
            &self.attention,
            self.dtype.name(),
            Chip::find("910B2").expect("a chip that is known"),
        )
        .expect("a case that is supported")
    }

    /// For messages.
    fn name(&self) -> String {
        let Attention {
            batch,
            heads,
            queries,
            keys,
            head_dim,
            masks,
            half_scores,
            ..
        } = self.attention;
        let dtype = self.dtype.name();
        format!(
            "{dtype} {batch:?} x {heads} heads, {queries} x {keys} x {head_dim}, {masks:?}, size {}, half scores {half_scores}",
            self.size
        )
    }

    /// Entries of queries, keys and values.
    fn operands(&self) -> [Vec<u16>; 3] {
        let mut numbers = Numbers(7);
        let [q, k] = self.elements;
        [(q, self.size), (k, self.size), (k, 1.0)].map(|(count, size)| {
            (0..count)
                .map(|_| self.dtype.bits(size * 2.0 * numbers.next()))
                .collect()
        })
    }

    /// Mean square error over mean square, of all output elements.
    fn error(&self, modes: Modes) -> f64 {
        let operands = self.operands();
        let plan = self.plan();
        let mut memory = Memory::default();
        let buffers = [0, 1, 2].map(|i| memory.present(bytemuck::cast_slice(&operands[i])));
        let lengths = self
            .lengths
            .as_ref()
            .map(|l| memory.present(bytemuck::cast_slice(l)));
        let bias = self
            .bias
            .as_ref()
            .map(|b| memory.present(bytemuck::cast_slice(b)));
        let out = memory.poisoned(2 * self.elements[0]);
        let workspace = memory.poisoned(plan.workspace);
        let mut launch = Launch::new("910B2", plan.blocks, modes);
        buffers.iter().for_each(|&buffer| {
            launch.buffer(buffer, 0);
        });
        for optional in [lengths, bias] {
            match optional {
                Some(buffer) => launch.buffer(buffer, 0),
                None => launch.null(),
            };
        }
        launch
            .buffer(out, 0)
            .buffer(workspace, 0)
            .tiling(&plan.tiling);
        let kernel = kernel(&plan.kernel).expect("a kernel of this package");
        launch
            .run(kernel, &mut memory)
            .unwrap_or_else(|fault| panic!("{}: {fault}", self.name()));
        let got: &[u16] = bytemuck::cast_slice(memory.bytes(out));
        self.compare(&operands, got)
    }

    fn compare(&self, operands: &[Vec<u16>; 3], got: &[u16]) -> f64 {
        let a = &self.attention;
        let [q, k, v] = operands.each_ref().map(|bits| {
            bits.iter()
                .map(|&b| self.dtype.value(b))
                .collect::<Vec<_>>()
        });
        let (depth, keys) = (a.head_dim as usize, a.keys as usize);
        let (mut wrong, mut all) = (0.0, 0.0);
        for batch in 0..a.batch[0] * a.batch[1] {
            let (outer, inner) = (batch / a.batch[1], batch % a.batch[1]);
            let at = |s: &AttentionStrides, token: u64, head: u64| {
                (outer * s.outer + inner * s.inner + token * s.token + head * s.head) as usize
            };
            let length = self
                .lengths
                .as_ref()
                .map_or(keys, |l| keys.min(l[batch as usize].max(0) as usize));
            for head in 0..a.heads {
                for query in 0..a.queries {
                    let seen = if a.masks.causal {
                        length.min(query as usize + 1)
                    } else {
                        length
                    };
                    let row = &q[at(&a.q, query, head)..][..depth];
                    let mut scores: Vec<f64> = (0..seen)
                        .map(|key| {
                            let other = &k[at(&a.k, key as u64, head)..][..depth];
                            let dot: f64 = row.iter().zip(other).map(|(x, y)| x * y).sum();
                            let bias = self
                                .bias
                                .as_ref()
                                .map_or(0.0, |b| b[batch as usize * keys + key].into());
                            dot * f64::from(a.scale) + bias
                        })
                        .collect();
                    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    scores.iter_mut().for_each(|s| *s = (*s - top).exp());
                    let sum: f64 = scores.iter().sum();
                    let mut expected = vec![0.0; depth];
                    if top > f64::NEG_INFINITY {
                        for (key, p) in scores.iter().enumerate() {
                            let other = &v[at(&a.v, key as u64, head)..][..depth];
                            expected
                                .iter_mut()
                                .zip(other)
                                .for_each(|(e, x)| *e += p / sum * x);
                        }
                    }
                    let found = &got[at(&a.out, query, head)..][..depth];
                    for (e, &g) in expected.iter().zip(found) {
                        let difference = self.dtype.value(g) - e;
                        wrong += difference * difference;
                        all += e * e;
                    }
                }
            }
        }
        if wrong == 0.0 { 0.0 } else { wrong / all }
    }

    /// Runs with all checks. Probabilities and the output are rounded to 11 (f16) or 8 (bf16) bits, each by 2^-12 or 2^-9 at most and
    /// evenly spread, which makes 2 x 2^-24 / 3 = 4e-8 or 2.5e-6 in the mean square. Limits are a few times that.
    fn check(&self) {
        let error = self.error(Modes::CHECKED);
        let limit = match (self.dtype, self.attention.half_scores) {
            (Type::F16, false) => 2.0e-7,
            // A bias is rounded, too.
            (Type::F16, true) if self.bias.is_some() => 4.0e-6,
            (Type::F16, true) => 1.0e-6,
            (Type::Bf16, _) => 1.0e-5,
        };
        assert!(
            error <= limit,
            "{}: error {error:e} is above {limit:e}",
            self.name()
        );
    }
}

const TYPES: [Type; 2] = [Type::F16, Type::Bf16];

#[test]
fn heads_of_all_sizes_are_right() {
    for dtype in TYPES {
        for head_dim in [8, 40, 64, 72, 80, 96, 128, 160, 256] {
            Case::new(dtype, [1, 2, 200, 300, head_dim]).check();
        }
    }
}

#[test]
fn all_numbers_of_queries_and_keys_are_right() {
    for tokens in [1, 15, 16, 17, 127, 128, 129, 300, 1025] {
        Case::new(Type::F16, [1, 1, tokens, tokens, 64]).check();
        Case::new(Type::F16, [1, 1, 40, tokens, 72]).check();
        Case::new(Type::Bf16, [1, 1, tokens, 50, 96]).check();
    }
}

#[test]
fn many_blocks_of_queries_share_keys() {
    Case::new(Type::F16, [2, 3, 1500, 1100, 64]).check();
    Case::new(Type::Bf16, [1, 30, 520, 260, 72]).check();
}

#[test]
fn keys_behind_the_length_are_not_seen() {
    for dtype in TYPES {
        for head_dim in [72, 128] {
            Case::new(dtype, [4, 2, 150, 700, head_dim])
                .lengths(&[1, 700, 513, 129])
                .check();
        }
    }
}

#[test]
fn a_row_without_keys_is_zero() {
    Case::new(Type::F16, [3, 2, 300, 200, 64])
        .lengths(&[0, 200, -1])
        .check();
    Case::new(Type::Bf16, [1, 1, 20, 20, 40])
        .lengths(&[0])
        .check();
}

#[test]
fn a_bias_is_added_to_the_scores() {
    for dtype in TYPES {
        let mut numbers = Numbers(3);
        let bias = (0..2 * 600)
            .map(|i| {
                if i % 7 == 3 {
                    -1.0e4
                } else {
                    2.0 * numbers.next() as f32
                }
            })
            .collect();
        Case::new(dtype, [2, 2, 140, 600, 96]).bias(bias).check();
    }
}

#[test]
fn keys_hidden_by_a_bias_of_minus_infinity_do_not_count() {
    let bias = (0..2 * 600)
        .map(|i| {
            if i < 550 || i == 1100 {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    Case::new(Type::F16, [2, 1, 40, 600, 64]).bias(bias).check();
    let all = vec![f32::NEG_INFINITY; 30];
    Case::new(Type::F16, [1, 1, 40, 30, 64]).bias(all).check();
}

#[test]
fn causal_queries_see_keys_up_to_their_own() {
    for dtype in TYPES {
        for tokens in [1, 17, 128, 600, 1300] {
            Case::new(dtype, [1, 2, tokens, tokens, 64])
                .causal()
                .check();
        }
        Case::new(dtype, [1, 1, 300, 100, 72]).causal().check();
        Case::new(dtype, [1, 1, 100, 300, 128]).causal().check();
        Case::new(dtype, [2, 1, 500, 500, 96])
            .causal()
            .lengths(&[70, 450])
            .check();
    }
}

#[test]
fn groups_of_a_sequence_are_batch_rows_without_copies() {
    // Two sequences of 4 x 90 tokens: group g has tokens g, g + 4, ...; queries, keys and values lie in one tensor of tokens.
    let (groups, tokens, heads, depth) = (4, 90, 2, 72);
    let token = heads * depth;
    let mut case = Case::new(Type::F16, [2 * groups, heads, tokens, tokens, depth]);
    let strides = AttentionStrides {
        outer: groups * tokens * token,
        inner: token,
        token: groups * token,
        head: depth,
    };
    case.attention.batch = [2, groups];
    case.attention.q = strides;
    case.attention.k = strides;
    case.attention.v = strides;
    case.attention.out = strides;
    case.check();
}

#[test]
fn tokens_may_lie_further_apart_than_an_instruction_reaches() {
    let mut case = Case::new(Type::Bf16, [1, 1, 20, 40, 64]);
    let strides = AttentionStrides {
        outer: 0,
        inner: 0,
        token: 70_000,
        head: 64,
    };
    case.attention.q = strides;
    case.attention.k = strides;
    case.elements = [20 * 70_000, 40 * 70_000];
    case.attention.v = strides;
    case.attention.out = strides;
    case.check();
}

#[test]
fn large_scores_lose_nothing() {
    for dtype in TYPES {
        for size in [4.0, 16.0, 64.0] {
            Case::new(dtype, [1, 2, 200, 700, 96]).size(size).check();
        }
    }
}

#[test]
fn scores_as_f16_do_all_that_scores_as_f32_do() {
    let mut numbers = Numbers(5);
    for dtype in TYPES {
        for head_dim in [8, 72, 96, 128, 256] {
            Case::new(dtype, [1, 2, 200, 700, head_dim])
                .half_scores()
                .check();
        }
        for tokens in [1, 17, 129, 1300] {
            Case::new(dtype, [1, 1, tokens, tokens, 64])
                .half_scores()
                .causal()
                .check();
        }
        Case::new(dtype, [4, 2, 150, 1500, 64])
            .lengths(&[1, 1500, 0, 1025])
            .half_scores()
            .check();
        let bias = (0..2 * 600)
            .map(|i| {
                if i % 7 == 3 {
                    -1.0e4
                } else {
                    2.0 * numbers.next() as f32
                }
            })
            .collect();
        Case::new(dtype, [2, 2, 140, 600, 96])
            .bias(bias)
            .half_scores()
            .check();
    }
}

#[test]
fn the_error_of_scores_as_f16_grows_with_them() {
    // Scores grow with the square of the size; what rounding changes in them, too. The largest score takes more and more of the sum.
    for (size, limit) in [(1.0, 1.0e-6), (2.0, 4.0e-6), (4.0, 2.0e-5), (8.0, 6.0e-5)] {
        let error = Case::new(Type::F16, [1, 2, 200, 700, 96])
            .size(size)
            .half_scores()
            .error(Modes::CHECKED);
        assert!(
            error <= limit,
            "size {size}: error {error:e} is above {limit:e}"
        );
    }
}

#[test]
fn what_the_kernel_cannot_do_is_refused() {
    let chip = Chip::find("910B2").expect("a chip that is known");
    let refused = |attention: &Attention, dtype: &str| {
        plan(attention, dtype, chip).expect_err("it is refused")
    };
    let good = Attention::contiguous(1, 2, 3, 4, 64);
    assert_eq!(refused(&Attention { keys: 0, ..good }, "f16"), "Skv is 0");
    assert_eq!(
        refused(&good, "f32"),
        "the type is f32; f16 and bf16 are supported"
    );
    assert_eq!(
        refused(
            &Attention {
                head_dim: 63,
                ..good
            },
            "f16"
        ),
        "a head has 63 channels; multiples of 8 up to 256 are supported"
    );
    assert_eq!(
        refused(
            &Attention {
                head_dim: 264,
                ..good
            },
            "f16"
        ),
        "a head has 264 channels; multiples of 8 up to 256 are supported"
    );
    assert_eq!(
        refused(
            &Attention {
                scale: -1.0,
                ..good
            },
            "f16"
        ),
        "the scale is -1; it must be above 0"
    );
}

#[test]
fn the_plan_counts_what_must_be_computed() {
    let case = Case::new(Type::F16, [2, 3, 500, 700, 72]);
    let plan = case.plan();
    assert_eq!(plan.flops, 4 * 2 * 3 * 500 * 700 * 72);
    assert_eq!(plan.bytes, 2 * 2 * 3 * 72 * (2 * 500 + 2 * 700));
    assert_eq!(plan.blocks, 24);
    let causal = Case::new(Type::F16, [1, 1, 4, 3, 8]).causal().plan();
    assert_eq!(causal.flops, 4 * 8 * (1 + 2 + 3 + 3));
}
