//! `haar` against the sums in f64.

use super::{Argument, Random, TYPES, Type, check, chip, run};
use ascendit_kernels::haar::{Blocks, Haar, plan};

/// Index of the pixel `[batch, frame, row, column]` of blocks whose tap `[dt, dh, dw]` is given; none where there is no frame.
fn pixel(haar: &Haar, block: [u64; 4], tap: [u64; 3]) -> Option<u64> {
    let [batch, t, row, column] = block;
    let [_, height, width] = haar.size;
    let frame = match haar.blocks {
        Blocks::Frames { .. } => t,
        Blocks::Video { first } => match (2 * t + tap[0]).checked_sub(first.into()) {
            Some(frame) => frame,
            None if haar.inverse => return None,
            None => 0,
        },
    };
    let line = (batch * haar.pixel_frames() + frame) * 2 * height + 2 * row + tap[1];
    Some((line * 2 * width + 2 * column + tap[2]) * haar.channels)
}

fn case(haar: &Haar, dtype: Type) {
    let [frames, height, width] = haar.size;
    let Haar {
        batch, channels, ..
    } = *haar;
    let (count, taps): (u64, Vec<[u64; 3]>) = match haar.blocks {
        Blocks::Video { .. } => (8, (0..8).map(|i| [i / 4, i / 2 % 2, i % 2]).collect()),
        Blocks::Frames { .. } => (4, (0..4).map(|i| [0, i / 2, i % 2]).collect()),
    };
    // Bits of a coefficient's number that count for a tap.
    let number = |[dt, dh, dw]: [u64; 3]| match haar.blocks {
        Blocks::Frames { swapped: true } => dh + 2 * dw,
        _ => 4 * dt + 2 * dh + dw,
    };
    let pixels = batch * haar.pixel_frames() * 4 * height * width * channels;
    let coefficients = batch * frames * height * width * count * channels;
    let (inputs, outputs) = if haar.inverse {
        (coefficients, pixels)
    } else {
        (pixels, coefficients)
    };
    let x = dtype.round(&Random::new(inputs).values(inputs, 0.0, 1.0));
    let mut want = vec![0.0; outputs as usize];
    for index in 0..batch * frames * height * width {
        let block = [
            index / (frames * height * width),
            index / (height * width) % frames,
            index / width % height,
            index % width,
        ];
        for tap in &taps {
            let Some(pixel) = pixel(haar, block, *tap) else {
                continue;
            };
            for k in 0..count {
                let odd = (k & number(*tap)).count_ones() % 2 == 1;
                let factor = if odd {
                    -f64::from(haar.scale)
                } else {
                    f64::from(haar.scale)
                };
                for channel in 0..channels {
                    let coefficient = (index * count + k) * channels + channel;
                    let at = [(pixel + channel) as usize, coefficient as usize];
                    let [from, to] = if haar.inverse { [at[1], at[0]] } else { at };
                    want[to] += factor * x[from];
                }
            }
        }
    }
    let plan = plan(haar, dtype.name(), chip()).unwrap();
    let got = run(
        chip(),
        &plan,
        dtype,
        &[Argument::Narrow(&x), Argument::Out(outputs)],
    );
    check(&format!("{haar:?}"), dtype, &got, &want, 1e-6);
}

const BLOCKS: [Blocks; 4] = [
    Blocks::Video { first: true },
    Blocks::Video { first: false },
    Blocks::Frames { swapped: true },
    Blocks::Frames { swapped: false },
];

#[test]
fn both_directions_of_all_blocks_are_the_sums() {
    for blocks in BLOCKS {
        for inverse in [false, true] {
            for dtype in TYPES {
                let scale = if matches!(blocks, Blocks::Video { .. }) {
                    0.3536
                } else {
                    0.5
                };
                case(
                    &Haar {
                        batch: 2,
                        size: [3, 5, 7],
                        channels: 3,
                        blocks,
                        inverse,
                        scale,
                    },
                    dtype,
                );
            }
        }
    }
}

#[test]
fn every_shape_is_the_sums() {
    for (size, channels) in [
        ([1, 1, 1], 1),
        ([1, 1, 1], 3),
        ([2, 30, 40], 3),
        ([2, 3, 320], 3),
        ([1, 2, 1000], 3),
        ([1, 3, 50], 1),
        ([1, 9, 20], 2),
        ([1, 9, 20], 4),
        ([1, 4, 33], 8),
        ([1, 3, 17], 16),
        ([40, 2, 8], 3),
    ] {
        for inverse in [false, true] {
            let blocks = Blocks::Video { first: true };
            case(
                &Haar {
                    batch: 1,
                    size,
                    channels,
                    blocks,
                    inverse,
                    scale: 0.3536,
                },
                Type::F16,
            );
            let blocks = Blocks::Frames { swapped: true };
            case(
                &Haar {
                    batch: 1,
                    size,
                    channels,
                    blocks,
                    inverse,
                    scale: 0.5,
                },
                Type::Bf16,
            );
        }
    }
}

#[test]
fn the_inverse_undoes_the_transform() {
    let haar = Haar {
        batch: 1,
        size: [3, 8, 24],
        channels: 3,
        blocks: Blocks::Video { first: true },
        inverse: false,
        scale: 0.125f32.sqrt(),
    };
    let pixels = Random::new(1).values(haar.pixel_frames() * 4 * 8 * 24 * 3, 0.0, 1.0);
    let pixels = Type::F16.round(&pixels);
    let coefficients = 3 * 8 * 24 * 8 * 3;
    let forward = plan(&haar, "f16", chip()).unwrap();
    let made = run(
        chip(),
        &forward,
        Type::F16,
        &[Argument::Narrow(&pixels), Argument::Out(coefficients)],
    );
    let back = plan(
        &Haar {
            inverse: true,
            ..haar
        },
        "f16",
        chip(),
    )
    .unwrap();
    let got = run(
        chip(),
        &back,
        Type::F16,
        &[Argument::Narrow(&made), Argument::Out(pixels.len() as u64)],
    );
    // Each of eight coefficients was rounded by up to 2^-10.
    check("there and back", Type::F16, &got, &pixels, 3e-3);
}

#[test]
fn too_many_channels_are_refused() {
    let blocks = Blocks::Video { first: true };
    let haar = Haar {
        batch: 1,
        size: [1, 1, 1],
        channels: 200,
        blocks,
        inverse: true,
        scale: 1.0,
    };
    assert_eq!(
        plan(&haar, "f16", chip()).unwrap_err(),
        "a pixel has 200 channels; a tile of 16 pixels does not fit the unified buffer"
    );
}
