//! Matrix products, which take transposed operands as they lie.

use super::super::call::Aclnn;
use super::super::view::View;
use super::Lowering;
use super::bias::of_product;
use crate::tensor::numel;

impl Lowering<'_> {
    /// `x [.., I]`, `w [O, I]`, `b [O]` → `[.., O]`, as one product of matrices.
    pub(super) fn linear(&mut self, x: &View, w: &View, bias: Option<&View>) -> View {
        let (outer, inner) = x.shape.split_at(x.shape.len() - 1);
        let (rows, width) = (numel(outer), inner[0]);
        let out = w.shape[0];
        let matrix = self.reshape(x, &[rows, width]);
        let matrix = self.operand(&matrix);
        let weight = self.operand(&w.permute(&[1, 0]));
        let product = match bias {
            Some(bias) => {
                let bias = self.cast(bias, of_product(x.dtype));
                let inputs = vec![self.contiguous(&bias), matrix, weight];
                self.emit(Aclnn::Addmm, inputs, x.dtype, &[rows, out])
            }
            None => self.emit(Aclnn::Matmul, vec![matrix, weight], x.dtype, &[rows, out]),
        };
        let shape = [outer, &[out]].concat();
        product
            .reshape(&shape)
            .expect("a new value is in one piece")
    }

    /// `a [.., M, K]`, `b [.., K, N]` or `[.., N, K]`; the outer axes are equal or broadcast.
    pub(super) fn matmul(&mut self, a: &View, b: &View, transpose_b: bool) -> View {
        let b = match transpose_b {
            true => {
                let mut axes: Vec<usize> = (0..b.shape.len()).collect();
                let last = axes.len() - 1;
                axes.swap(last - 1, last);
                b.permute(&axes)
            }
            false => b.clone(),
        };
        let rank = a.shape.len().max(b.shape.len());
        let padded = |view: &View| [vec![1; rank - view.shape.len()], view.shape.clone()].concat();
        let (a_shape, b_shape) = (padded(a), padded(&b));
        let outer: Vec<usize> = (0..rank - 2).map(|i| a_shape[i].max(b_shape[i])).collect();
        let [m, k] = [a_shape[rank - 2], a_shape[rank - 1]];
        let n = b_shape[rank - 1];
        let shape = [outer.as_slice(), &[m, n]].concat();
        if outer.is_empty() {
            let inputs = vec![self.operand(a), self.operand(&b)];
            return self.emit(Aclnn::Matmul, inputs, a.dtype, &shape);
        }
        let batch = numel(&outer);
        let wide = |view: &View, last: [usize; 2]| view.expand(&[outer.as_slice(), &last].concat());
        let a = self.reshape(&wide(a, [m, k]), &[batch, m, k]);
        let b = self.reshape(&wide(&b, [k, n]), &[batch, k, n]);
        let inputs = vec![self.operand(&a), self.operand(&b)];
        let product = self.emit(Aclnn::BatchMatMul, inputs, a.dtype, &[batch, m, n]);
        product
            .reshape(&shape)
            .expect("a new value is in one piece")
    }

    /// A matrix, or a batch of matrices, that products read without a copy: in one piece, or so with
    /// its last two axes swapped.
    fn operand(&mut self, view: &View) -> View {
        let mut axes: Vec<usize> = (0..view.shape.len()).collect();
        let last = axes.len() - 1;
        axes.swap(last - 1, last);
        match view.permute(&axes).is_contiguous() {
            true => view.clone(),
            false => self.contiguous(view),
        }
    }
}
