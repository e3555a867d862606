//! Convolutions.

use super::super::call::Aclnn;
use super::super::view::View;
use super::Lowering;
use super::bias::of_convolution;

impl Lowering<'_> {
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
