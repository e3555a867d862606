//! `norm_silu` against the formulas in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::Chip;
use ascendit_kernels::norm_silu::{Norm, plan};
use ascendit_kernels::vector::PerChannel;

const EPS: f64 = 1e-6;

struct Case {
    shape: [u64; 3],
    norm: Norm,
    affine: PerChannel,
    silu: bool,
    mean: f64,
    noise: f64,
    chip: &'static Chip,
}

fn of(shape: [u64; 3], norm: Norm) -> Case {
    Case {
        shape,
        norm,
        affine: PerChannel::F32,
        silu: true,
        mean: 0.0,
        noise: 1e-5,
        chip: chip(),
    }
}

impl Case {
    fn run(&self, dtype: Type) {
        let [b, p, c] = self.shape;
        let mut random = Random::new(b + 3 * p + 7 * c);
        let n = b * p * c;
        let x = dtype.round(&random.values(n, self.mean, 1.0));
        let [weight, bias] = [1.0, 0.0].map(|mean| {
            let values = random.values(c, mean, 0.5);
            match self.affine {
                PerChannel::Narrow => dtype.round(&values),
                _ => values.iter().map(|v| f64::from(*v as f32)).collect(),
            }
        });
        // Positions of a row of statistics, and its channels.
        let (rows, width) = match self.norm {
            Norm::Layer => (1, c),
            Norm::Group(groups) => (p, c / groups),
        };
        let mut want = vec![0.0; n as usize];
        for first in (0..b * p).step_by(rows as usize) {
            for group in (0..c).step_by(width as usize) {
                let places = (first..first + rows).flat_map(|row| {
                    (group..group + width).map(move |column| (row * c + column) as usize)
                });
                let count = (rows * width) as f64;
                let mean = places.clone().map(|i| x[i]).sum::<f64>() / count;
                let squares = places.clone().map(|i| (x[i] - mean).powi(2)).sum::<f64>();
                let factor = 1.0 / (squares / count + EPS).sqrt();
                for i in places {
                    let channel = i % c as usize;
                    let y = match self.affine {
                        PerChannel::None => (x[i] - mean) * factor,
                        _ => (x[i] - mean) * factor * weight[channel] + bias[channel],
                    };
                    want[i] = if self.silu { y / (1.0 + (-y).exp()) } else { y };
                }
            }
        }
        let plan = plan(
            self.shape,
            self.norm,
            self.affine,
            self.silu,
            EPS as f32,
            dtype.name(),
            self.chip,
        )
        .unwrap();
        let argument = |values| match self.affine {
            PerChannel::None => Argument::Null,
            PerChannel::F32 => Argument::F32(values),
            PerChannel::Narrow => Argument::Narrow(values),
        };
        let arguments = [
            Argument::Narrow(&x),
            argument(&weight),
            argument(&bias),
            Argument::Out(n),
            Argument::Workspace,
        ];
        let got = run(self.chip, &plan, dtype, &arguments);
        let name = format!("{:?} {:?} {:?}", self.shape, self.norm, self.affine);
        check(&name, dtype, &got, &want, self.noise);
    }
}

#[test]
fn layer_norm_is_the_formula() {
    let shapes = [
        [1, 1, 1],
        [1, 1, 128],
        [1, 9, 3],
        [2, 100, 64],
        [1, 60, 96],
        [1, 5000, 128],
        [1, 700, 256],
        [1, 130, 512],
        [1, 130, 640],
        [1, 50, 1024],
        [1, 70_000, 16],
    ];
    for shape in shapes {
        for dtype in TYPES {
            of(shape, Norm::Layer).run(dtype);
        }
    }
}

#[test]
fn group_norm_is_the_formula() {
    for (shape, groups) in [
        ([1, 1, 32], 32),
        ([1, 1, 128], 32),
        ([2, 50, 64], 32),
        ([1, 5000, 128], 32),
        ([2, 1000, 256], 32),
        ([1, 300, 512], 32),
        ([1, 130, 640], 32),
        ([1, 47, 1024], 32),
        ([3, 100, 96], 6),
        ([1, 200, 72], 8),
        ([1, 333, 20], 5),
        ([1, 2000, 32], 1),
        ([1, 70_000, 16], 4),
    ] {
        for dtype in TYPES {
            of(shape, Norm::Group(groups)).run(dtype);
        }
    }
}

#[test]
fn weights_come_in_each_form_and_silu_may_be_absent() {
    for norm in [Norm::Layer, Norm::Group(5)] {
        for affine in [PerChannel::None, PerChannel::F32, PerChannel::Narrow] {
            for silu in [false, true] {
                for dtype in TYPES {
                    Case {
                        affine,
                        silu,
                        ..of([2, 60, 40], norm)
                    }
                    .run(dtype);
                }
            }
        }
    }
}

#[test]
fn a_mean_far_from_zero_costs_no_accuracy() {
    for norm in [Norm::Layer, Norm::Group(32)] {
        let case = Case {
            mean: 1000.0,
            noise: 1e-3,
            ..of([1, 900, 128], norm)
        };
        case.run(Type::F16);
        Case {
            mean: -100.0,
            noise: 1e-4,
            ..case
        }
        .run(Type::Bf16);
    }
}

#[test]
fn chips_with_fewer_cores_give_the_same() {
    let chip = Chip::find("910B4").unwrap();
    for norm in [Norm::Layer, Norm::Group(32)] {
        Case {
            chip,
            ..of([1, 999, 128], norm)
        }
        .run(Type::F16);
    }
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let refused = |shape, groups| {
        plan(
            shape,
            Norm::Group(groups),
            PerChannel::None,
            true,
            1e-6,
            "f16",
            chip(),
        )
        .unwrap_err()
    };
    assert_eq!(
        refused([1, 9, 100], 32),
        "32 groups do not divide 100 channels"
    );
    assert_eq!(
        refused([1, 9, 100], 0),
        "0 groups do not divide 100 channels"
    );
    assert_eq!(
        refused([1, 900, 4096], 2),
        "groups of 2048 of 4096 channels do not fit the unified buffer"
    );
}
