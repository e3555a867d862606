//! `rope` against the formula in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::rope::{Pairs, Rope, Strides, plan};
use ascendit_kernels::vector::PerChannel;

const EPS: f32 = 1e-6;

fn of([b, s, h, d]: [u64; 4], pairs: Pairs) -> Rope {
    let dense = Strides {
        batch: s * h * d,
        token: h * d,
    };
    Rope {
        shape: [b, s, h, d],
        x: dense,
        out: dense,
        pairs,
        table_per_batch: false,
        norm: None,
    }
}

fn case(rope: &Rope, dtype: Type) {
    let [b, s, h, d] = rope.shape;
    let mut random = Random::new(b + 3 * s + 7 * h + d);
    let extent = |strides: Strides| (b - 1) * strides.batch + (s - 1) * strides.token + h * d;
    let x = dtype.round(&random.values(extent(rope.x), 0.0, 2.0));
    let pairs = d / 2;
    let tables = if rope.table_per_batch { b } else { 1 };
    let angles = random.values(tables * s * pairs, 0.0, 2.0);
    let [cos, sin]: [Vec<f64>; 2] =
        [f64::cos, f64::sin].map(|f| angles.iter().map(|a| f64::from(f(*a) as f32)).collect());
    let given = rope.norm.map_or(PerChannel::None, |(given, _)| given);
    let weight = random.values(d, 1.0, 0.3);
    let weight: Vec<f64> = match given {
        PerChannel::Narrow => dtype.round(&weight),
        _ => weight.iter().map(|v| f64::from(*v as f32)).collect(),
    };

    // Values between tokens and batches stay as they were: not numbers.
    let mut want = vec![f64::NAN; extent(rope.out) as usize];
    for (batch, token, head) in
        (0..b).flat_map(|b| (0..s).flat_map(move |s| (0..h).map(move |h| (b, s, h))))
    {
        let at = (batch * rope.x.batch + token * rope.x.token + head * d) as usize;
        let to = (batch * rope.out.batch + token * rope.out.token + head * d) as usize;
        let mut z = x[at..at + d as usize].to_vec();
        if rope.norm.is_some() {
            let square = z.iter().map(|v| v * v).sum::<f64>() / d as f64;
            for (value, weight) in z.iter_mut().zip(&weight) {
                *value /= (square + f64::from(EPS)).sqrt();
                *value *= if given == PerChannel::None {
                    1.0
                } else {
                    *weight
                };
            }
        }
        for pair in 0..pairs {
            let (i, j) = match rope.pairs {
                Pairs::Halves(sections) => {
                    let half = pairs / sections;
                    let i = pair / half * 2 * half + pair % half;
                    (i as usize, (i + half) as usize)
                }
                Pairs::Neighbours => (2 * pair as usize, 2 * pair as usize + 1),
            };
            let row = if rope.table_per_batch {
                batch * s + token
            } else {
                token
            };
            let (c, s) = (
                cos[(row * pairs + pair) as usize],
                sin[(row * pairs + pair) as usize],
            );
            want[to + i] = z[i] * c - z[j] * s;
            want[to + j] = z[j] * c + z[i] * s;
        }
    }
    let plan = plan(rope, dtype.name(), chip()).unwrap();
    let weights = match given {
        PerChannel::None => Argument::Null,
        PerChannel::F32 => Argument::F32(&weight),
        PerChannel::Narrow => Argument::Narrow(&weight),
    };
    let out = want.len() as u64;
    let arguments = [
        Argument::Narrow(&x),
        Argument::F32(&cos),
        Argument::F32(&sin),
        weights,
        Argument::Out(out),
    ];
    let got = run(chip(), &plan, dtype, &arguments);
    let (mut inside, mut formula) = (vec![], vec![]);
    for (got, want) in got.iter().zip(&want) {
        assert!(
            got.is_nan() == want.is_nan(),
            "{rope:?}: wrote where no token is"
        );
        if !want.is_nan() {
            inside.push(*got);
            formula.push(*want);
        }
    }
    check(&format!("{rope:?}"), dtype, &inside, &formula, 3e-6);
}

const NEIGHBOURS: Pairs = Pairs::Neighbours;
const HALVES: Pairs = Pairs::Halves(1);

#[test]
fn every_shape_is_the_formula() {
    for (shape, pairs) in [
        ([1, 1, 1, 64], HALVES),
        ([2, 100, 24, 96], HALVES),
        ([1, 50, 24, 96], Pairs::Halves(3)),
        ([2, 33, 5, 128], HALVES),
        ([1, 40, 16, 72], HALVES),
        ([1, 40, 16, 72], Pairs::Halves(3)),
        ([1, 30, 3, 256], HALVES),
        ([1, 200, 1, 80], HALVES),
        ([1, 9, 2, 6], HALVES),
        ([1, 4, 100, 128], HALVES),
        ([1, 1, 1, 64], NEIGHBOURS),
        ([2, 100, 16, 72], NEIGHBOURS),
        ([1, 40, 3, 72], NEIGHBOURS),
        ([1, 50, 24, 96], NEIGHBOURS),
        ([1, 500, 1, 64], NEIGHBOURS),
        ([1, 70_000, 1, 16], HALVES),
    ] {
        for dtype in TYPES {
            case(&of(shape, pairs), dtype);
        }
    }
}

#[test]
fn an_rms_norm_comes_first() {
    for dtype in TYPES {
        for given in [PerChannel::None, PerChannel::F32, PerChannel::Narrow] {
            for (shape, pairs) in [
                ([2, 50, 24, 96], HALVES),
                ([1, 50, 24, 128], NEIGHBOURS),
                ([1, 40, 16, 72], HALVES),
                ([1, 40, 3, 72], NEIGHBOURS),
                ([1, 40, 3, 72], Pairs::Halves(3)),
                ([1, 70, 1, 64], HALVES),
            ] {
                let norm = Some((given, EPS));
                case(
                    &Rope {
                        norm,
                        ..of(shape, pairs)
                    },
                    dtype,
                );
            }
        }
    }
}

#[test]
fn tokens_and_tables_lie_anywhere() {
    for dtype in TYPES {
        for pairs in [HALVES, NEIGHBOURS] {
            let shape = [2, 30, 4, 64];
            let fused = Strides {
                batch: 30 * 768 + 5,
                token: 768,
            };
            case(
                &Rope {
                    x: fused,
                    ..of(shape, pairs)
                },
                dtype,
            );
            case(
                &Rope {
                    out: fused,
                    table_per_batch: true,
                    ..of(shape, pairs)
                },
                dtype,
            );
            let fused = Strides {
                batch: 30 * 700,
                token: 700,
            };
            case(
                &Rope {
                    x: fused,
                    ..of([2, 30, 3, 72], pairs)
                },
                dtype,
            );
        }
    }
}

#[test]
fn heads_that_cannot_turn_are_refused() {
    let refused = |shape, pairs| plan(&of(shape, pairs), "f16", chip()).unwrap_err();
    assert_eq!(
        refused([1, 1, 1, 64], Pairs::Halves(3)),
        "3 sections do not divide a head of 64 channels into pairs"
    );
    assert_eq!(
        refused([1, 1, 1, 36], NEIGHBOURS),
        "a head has 36 channels; neighbours need a multiple of 8"
    );
    assert_eq!(
        refused([1, 1, 1, 4096], HALVES),
        "a head has 4096 channels; at most 2032 fit an instruction"
    );
}
