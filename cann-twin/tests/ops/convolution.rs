use crate::device::*;
use ascendit_cann_twin::TABLE as T;
use cann_sys::*;
use std::ptr::null;

struct Case {
    batch: usize,
    channels: [usize; 2],
    groups: usize,
    input: &'static [usize],
    kernel: &'static [usize],
    stride: &'static [i64],
    padding: &'static [i64],
    dilation: &'static [i64],
}

const CASES: [Case; 9] = [
    Case {
        batch: 2,
        channels: [3, 5],
        groups: 1,
        input: &[17],
        kernel: &[3],
        stride: &[1],
        padding: &[1],
        dilation: &[1],
    },
    Case {
        batch: 1,
        channels: [4, 6],
        groups: 2,
        input: &[20],
        kernel: &[4],
        stride: &[3],
        padding: &[2],
        dilation: &[2],
    },
    Case {
        batch: 2,
        channels: [3, 8],
        groups: 1,
        input: &[9, 11],
        kernel: &[3, 3],
        stride: &[1, 1],
        padding: &[1, 1],
        dilation: &[1, 1],
    },
    Case {
        batch: 1,
        channels: [8, 8],
        groups: 8,
        input: &[8, 7],
        kernel: &[2, 3],
        stride: &[2, 1],
        padding: &[0, 1],
        dilation: &[1, 2],
    },
    Case {
        batch: 1,
        channels: [16, 4],
        groups: 1,
        input: &[33, 65],
        kernel: &[1, 1],
        stride: &[1, 1],
        padding: &[0, 0],
        dilation: &[1, 1],
    },
    Case {
        batch: 2,
        channels: [3, 4],
        groups: 1,
        input: &[5, 8, 9],
        kernel: &[3, 3, 3],
        stride: &[1, 1, 1],
        padding: &[1, 1, 1],
        dilation: &[1, 1, 1],
    },
    Case {
        batch: 1,
        channels: [6, 4],
        groups: 2,
        input: &[4, 9, 10],
        kernel: &[2, 3, 1],
        stride: &[2, 2, 3],
        padding: &[0, 1, 0],
        dilation: &[2, 1, 1],
    },
    Case {
        batch: 1,
        channels: [32, 24],
        groups: 1,
        input: &[3, 20, 22],
        kernel: &[3, 3, 3],
        stride: &[1, 1, 1],
        padding: &[0, 1, 1],
        dilation: &[1, 1, 1],
    },
    Case {
        batch: 2,
        channels: [5, 7],
        groups: 1,
        input: &[2, 3, 4],
        kernel: &[1, 1, 1],
        stride: &[1, 1, 1],
        padding: &[0, 0, 0],
        dilation: &[1, 1, 1],
    },
];

impl Case {
    fn out(&self) -> Vec<usize> {
        (0..self.input.len())
            .map(|i| {
                let window = self.dilation[i] * (self.kernel[i] as i64 - 1) + 1;
                ((self.input[i] as i64 + 2 * self.padding[i] - window) / self.stride[i] + 1)
                    as usize
            })
            .collect()
    }

    fn reference(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let out = self.out();
        let indices = |shape: &[usize], mut i: usize| {
            let mut at = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                at[axis] = i % shape[axis];
                i /= shape[axis];
            }
            at
        };
        let [channels, out_channels] = self.channels;
        let (group_in, group_out) = (channels / self.groups, out_channels / self.groups);
        let (positions, taps): (usize, usize) =
            (out.iter().product(), self.kernel.iter().product());
        let volume: usize = self.input.iter().product();
        let mut result = vec![];
        for i in 0..self.batch * out_channels * positions {
            let (sample, channel) = (i / positions / out_channels, i / positions % out_channels);
            let at = indices(&out, i % positions);
            let mut sum = bias[channel];
            for tap in 0..taps {
                let tap_at = indices(self.kernel, tap);
                let mut from = Some(0);
                for axis in 0..out.len() {
                    let p = at[axis] as i64 * self.stride[axis]
                        + tap_at[axis] as i64 * self.dilation[axis]
                        - self.padding[axis];
                    from = from
                        .filter(|_| (0..self.input[axis] as i64).contains(&p))
                        .map(|f| f * self.input[axis] + p as usize);
                }
                let Some(from) = from else { continue };
                for c in 0..group_in {
                    let input = channel / group_out * group_in + c;
                    sum += x[(sample * channels + input) * volume + from]
                        * weight[(channel * group_in + c) * taps + tap];
                }
            }
            result.push(sum);
        }
        result
    }
}

#[test]
fn convolutions_of_one_to_three_dimensions_are_right() {
    for (i, case) in CASES.iter().enumerate() {
        let format = [ACL_FORMAT_NCL, ACL_FORMAT_NCHW, ACL_FORMAT_NCDHW][case.input.len() - 1];
        let [channels, out_channels] = case.channels;
        let x_shape = [&[case.batch, channels], case.input].concat();
        let weight_shape = [&[out_channels, channels / case.groups], case.kernel].concat();
        let out_shape = [vec![case.batch, out_channels], case.out()].concat();
        for dtype in FLOATS {
            for lay in [Lay::Rows, Lay::Gaps, Lay::Reversed] {
                let make = |shape: &[usize], seed| {
                    Array::with_format(
                        dtype,
                        shape,
                        lay,
                        format,
                        &random(shape.iter().product(), seed),
                    )
                };
                let (x, weight) = (make(&x_shape, 1), make(&weight_shape, 2));
                let bias = Array::random(dtype, &[out_channels], Lay::Rows, 3);
                let out = make(&out_shape, 4);
                for with_bias in [true, false] {
                    let bias_tensor = if with_bias {
                        bias.tensor.cast_const()
                    } else {
                        null()
                    };
                    // SAFETY: all pointers are alive.
                    run(
                        |w, e| unsafe {
                            (T.aclnnConvolutionGetWorkspaceSize)(
                                x.tensor,
                                weight.tensor,
                                bias_tensor,
                                ints(case.stride),
                                ints(case.padding),
                                ints(case.dilation),
                                false,
                                ints(&vec![0; case.input.len()]),
                                case.groups as i64,
                                out.tensor,
                                0,
                                w,
                                e,
                            )
                        },
                        T.aclnnConvolution,
                    );
                    let zeros = vec![0.0; out_channels];
                    let wanted = case.reference(
                        &x.values,
                        &weight.values,
                        if with_bias { &bias.values } else { &zeros },
                    );
                    let depth = channels / case.groups * case.kernel.iter().product::<usize>();
                    let slack = 4.0 * (depth + 1) as f64 * 2f64.powi(-23);
                    close(
                        &format!("case {i} {dtype} {lay:?} {with_bias}"),
                        &out.read(),
                        &wanted,
                        dtype,
                        slack,
                    );
                }
            }
        }
    }
}
