//! `upsample` against the formulas in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::upsample::{Chunk, Enlarge, plan};

const WHOLE: (bool, bool) = (true, true);

/// Frames of a size as weighted sums of other frames: index and weight.
type Mixture = Vec<(usize, f64)>;

/// What frames behind each other become; `first` and `last`: the video begins and ends with them. Where it does not begin with them,
/// frame 0 is the one before.
fn in_time(frames: usize, time: Enlarge, first: bool, last: bool) -> Vec<Mixture> {
    let one = |i| vec![(i, 1.0)];
    if first && frames == 1 {
        return vec![one(0)];
    }
    let skipped = usize::from(first);
    match time {
        Enlarge::Kept => (0..frames).map(one).collect(),
        Enlarge::Nearest => {
            let single = (0..skipped).map(one);
            single
                .chain((skipped..frames).flat_map(|i| [one(i), one(i)]))
                .collect()
        }
        Enlarge::Linear => {
            let mut out: Vec<_> = if first { vec![one(0), one(1)] } else { vec![] };
            for i in skipped..frames - 1 {
                out.push(vec![(i, 0.75), (i + 1, 0.25)]);
                out.push(vec![(i, 0.25), (i + 1, 0.75)]);
            }
            out.extend(last.then(|| one(frames - 1)));
            out
        }
    }
}

fn along(size: usize, space: Enlarge) -> Vec<Mixture> {
    match space {
        Enlarge::Kept => (0..size).map(|i| vec![(i, 1.0)]).collect(),
        Enlarge::Nearest => (0..2 * size).map(|i| vec![(i / 2, 1.0)]).collect(),
        Enlarge::Linear => (0..2 * size)
            .map(|i| {
                let other = if i % 2 == 0 {
                    (i / 2).saturating_sub(1)
                } else {
                    (i / 2 + 1).min(size - 1)
                };
                vec![(i / 2, 0.75), (other, 0.25)]
            })
            .collect(),
    }
}

fn formula(x: &[f64], [t, h, w, c]: [usize; 4], mixtures: [&[Mixture]; 3]) -> Vec<f64> {
    let batches = x.len() / (t * h * w * c);
    let mut out = vec![];
    for batch in 0..batches {
        for frame in mixtures[0] {
            for row in mixtures[1] {
                for column in mixtures[2] {
                    for channel in 0..c {
                        let mut sum = 0.0;
                        for (f, a) in frame {
                            for (r, b) in row {
                                for (k, d) in column {
                                    let at = (((batch * t + f) * h + r) * w + k) * c + channel;
                                    sum += a * b * d * x[at];
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
    }
    out
}

struct Case {
    batch: u64,
    frames: u64,
    size: [u64; 3],
    time: Enlarge,
    space: Enlarge,
    place: (bool, bool),
}

fn case(case: &Case, dtype: Type) {
    let Case {
        batch,
        frames,
        size: [h, w, c],
        time,
        space,
        place: (first, last),
    } = *case;
    let mut random = Random::new(frames + 3 * h + 7 * w + c);
    let with_before = time == Enlarge::Linear && !first;
    let all = (frames + u64::from(with_before)) as usize;
    let frame = (h * w * c) as usize;
    let x = dtype.round(&random.values(batch * (all * frame) as u64, 0.0, 1.0));
    let mixtures = [
        in_time(all, time, first, last),
        along(h as usize, space),
        along(w as usize, space),
    ];
    let sizes = [all, h as usize, w as usize, c as usize];
    let want = formula(&x, sizes, mixtures.each_ref().map(Vec::as_slice));
    let (mut before, mut chunk) = (vec![], vec![]);
    for video in x.chunks(all * frame) {
        let (front, rest) = video.split_at(if with_before { frame } else { 0 });
        before.extend(front);
        chunk.extend(rest);
    }
    let given = Chunk {
        frames,
        first,
        last,
    };
    let plan = plan(batch, given, [h, w, c], time, space, dtype.name(), chip()).unwrap();
    let before = if with_before {
        Argument::Narrow(&before)
    } else {
        Argument::Null
    };
    let arguments = [
        Argument::Narrow(&chunk),
        before,
        Argument::Out(want.len() as u64),
    ];
    let got = run(chip(), &plan, dtype, &arguments);
    let name = format!(
        "{batch} x {frames} x {:?} {time:?} {space:?} {:?}",
        case.size, case.place
    );
    check(&name, dtype, &got, &want, 1e-6);
}

#[test]
fn every_way_of_enlarging_is_the_formula() {
    use Enlarge::{Kept, Linear, Nearest};
    for time in [Kept, Nearest, Linear] {
        for space in [Kept, Nearest, Linear] {
            for frames in [1, 2, 4] {
                for dtype in TYPES {
                    let size = [5, 7, 32];
                    case(
                        &Case {
                            batch: 2,
                            frames,
                            size,
                            time,
                            space,
                            place: WHOLE,
                        },
                        dtype,
                    );
                }
            }
        }
    }
}

#[test]
fn every_shape_is_the_formula() {
    use Enlarge::{Linear, Nearest};
    for (size, space) in [
        ([1, 1, 1], Linear),
        ([1, 1, 1], Nearest),
        ([2, 1, 16], Linear),
        ([1, 9, 3], Linear),
        ([3, 5, 20], Nearest),
        ([4, 40, 128], Linear),
        ([4, 40, 128], Nearest),
        ([3, 80, 512], Linear),
        ([2, 33, 640], Linear),
        ([2, 33, 1000], Nearest),
        ([2, 300, 256], Nearest),
        ([1, 3000, 8], Nearest),
        ([2, 500, 8], Linear),
    ] {
        for dtype in TYPES {
            case(
                &Case {
                    batch: 1,
                    frames: 3,
                    size,
                    time: Linear,
                    space,
                    place: WHOLE,
                },
                dtype,
            );
        }
    }
}

#[test]
fn chunks_continue_each_other() {
    use Enlarge::{Linear, Nearest};
    for (time, space) in [(Linear, Linear), (Nearest, Linear), (Linear, Nearest)] {
        for place in [(true, false), (false, false), (false, true)] {
            for frames in [2, 3] {
                case(
                    &Case {
                        batch: 2,
                        frames,
                        size: [3, 6, 48],
                        time,
                        space,
                        place,
                    },
                    Type::F16,
                );
            }
        }
        for place in [(false, false), (false, true)] {
            case(
                &Case {
                    batch: 1,
                    frames: 1,
                    size: [3, 6, 48],
                    time,
                    space,
                    place,
                },
                Type::Bf16,
            );
        }
    }
}

#[test]
fn nothing_to_do_is_refused() {
    let chunk = Chunk {
        frames: 0,
        first: true,
        last: true,
    };
    let refused = plan(
        1,
        chunk,
        [1, 1, 1],
        Enlarge::Kept,
        Enlarge::Nearest,
        "f16",
        chip(),
    );
    assert_eq!(refused.unwrap_err(), "T is 0");
}
