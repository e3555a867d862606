//! Convolutions.

use super::super::call::Aclnn;
use super::super::view::View;
use super::Lowering;
use super::bias::of_convolution;
use crate::graph::{Node, Op};

impl Lowering<'_> {
    /// `(x [B, C, T, H, W], w, b?, cache?)`, see [`Op::CausalConv3d`]. For CANN's operator the frames in front
    /// are put there first.
    pub(super) fn causal_conv(&mut self, node: &Node, inputs: &[View]) -> View {
        if let Some(out) = self.causal_conv_kernel(node, None) {
            return out;
        }
        let Op::CausalConv3d {
            stride,
            padding,
            bias,
            cached,
        } = node.op
        else {
            unreachable!("asked for causal convolutions only");
        };
        let (x, fixed) = (&inputs[0], &inputs[1..2 + usize::from(bias)]);
        let front = inputs[1].shape[2] - 1;
        let before = match (cached, inputs.last()) {
            (true, Some(cache)) => vec![cache.clone()],
            _ => vec![x.slice(2, 0, 1); front],
        };
        let mut frames = x.shape.clone();
        frames[2] += front;
        let x = match front {
            0 => x.clone(),
            _ => self.concat(&[before, vec![x.clone()]].concat(), 2, &frames),
        };
        let operands = [&[x], fixed].concat();
        let padding = [(0, 0), padding[0], padding[1]];
        self.conv(&operands, &stride, &padding, 1, &node.shape)
    }

    /// `(x [B, C, S..], w [O, C / groups, K..], b?)`. CANN pads both ends of an axis alike; other
    /// padding is put around `x` first.
    pub(super) fn conv(
        &mut self,
        inputs: &[View],
        stride: &[usize],
        padding: &[(usize, usize)],
        groups: usize,
        shape: &[usize],
    ) -> View {
        if let Some(out) = self.flat_conv_kernel(inputs, stride, padding, groups, shape) {
            return out;
        }
        let (around, rest) = divided(padding);
        let x = self.pad_all(&inputs[0], [(0, 0); 2].into_iter().chain(rest).collect());
        let dtype = x.dtype;
        let mut operands = vec![self.contiguous(&x), self.contiguous(&inputs[1])];
        if let Some(bias) = inputs.get(2) {
            let wanted = of_convolution(dtype, &inputs[1].shape, shape, stride, &around, groups);
            let bias = self.cast(bias, wanted);
            operands.push(self.contiguous(&bias));
        }
        let op = Aclnn::Convolution {
            stride: stride.to_vec(),
            padding: around,
            groups,
        };
        self.emit(op, operands, dtype, shape)
    }
}

/// Padding as what CANN puts around both ends of each axis, and what is left for one of them.
pub(super) fn divided(padding: &[(usize, usize)]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let around: Vec<usize> = padding.iter().map(|&(a, b)| a.min(b)).collect();
    let rest = padding.iter().zip(&around);
    let rest = rest.map(|((a, b), n)| (a - n, b - n)).collect();
    (around, rest)
}
