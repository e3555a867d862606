//! Convolutions.

use super::super::call::Aclnn;
use super::super::view::View;
use super::Lowering;

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
        let even = |&(before, after): &(usize, usize)| before.min(after);
        let around: Vec<usize> = padding.iter().map(even).collect();
        let rest = padding.iter().zip(&around);
        let rest = rest.map(|((before, after), n)| (before - n, after - n));
        let x = self.pad_all(&inputs[0], [(0, 0); 2].into_iter().chain(rest).collect());
        let dtype = x.dtype;
        let mut operands = vec![self.contiguous(&x)];
        operands.extend(inputs[1..].iter().map(|view| self.contiguous(view)));
        let op = Aclnn::Convolution {
            stride: stride.to_vec(),
            padding: around,
            groups,
        };
        self.emit(op, operands, dtype, shape)
    }
}
