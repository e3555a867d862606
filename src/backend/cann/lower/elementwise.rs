//! Functions of elements, which keep the order in memory of what they read.

use super::super::call::Aclnn;
use super::super::view::View;
use super::Lowering;
use crate::graph::{Binary, Unary};
use crate::tensor::DType;

impl Lowering<'_> {
    /// A value that a function of each element can read in the order in which it lies, without
    /// copying: a dense one as it is, another in one piece.
    fn dense(&mut self, x: &View) -> View {
        match x.dense_order() {
            Some(_) => x.clone(),
            None => self.contiguous(x),
        }
    }

    /// A function of one value: reads and writes the buffer's own order.
    fn map(&mut self, op: Aclnn, x: &View, dtype: DType) -> View {
        let x = self.dense(x);
        let order = x.dense_order().expect("made dense");
        let out = self.temp_like(&x, dtype);
        let [from, to] = [&x, &out].map(|view| view.permute(&order));
        self.launch(op, vec![from], vec![to]);
        out
    }

    pub(super) fn unary(&mut self, f: Unary, x: &View) -> View {
        self.map(Aclnn::Unary(f), x, x.dtype)
    }

    pub(super) fn affine(&mut self, x: &View, mul: f32, add: f32) -> View {
        let mut value = x.clone();
        if mul != 1.0 {
            value = self.map(Aclnn::Muls(mul), &value, x.dtype);
        }
        if add != 0.0 {
            value = self.map(Aclnn::Adds(add), &value, x.dtype);
        }
        value
    }

    pub(super) fn cast(&mut self, x: &View, to: DType) -> View {
        match x.dtype == to {
            true => x.clone(),
            false => self.map(Aclnn::Cast, x, to),
        }
    }

    /// `x + a · b` in one launch.
    pub(super) fn add_product(&mut self, x: &View, [a, b]: [&View; 2], shape: &[usize]) -> View {
        for (y, gate) in [(a, b), (b, a)] {
            if is_gate(&gate.unexpanded(), shape)
                && let Some(out) = self.residual_kernel(x, y, Some(&gate.unexpanded()))
            {
                return out;
            }
        }
        let inputs = [x, a, b].map(|view| self.contiguous(&view.unexpanded()));
        self.emit(Aclnn::Addcmul, inputs.to_vec(), x.dtype, shape)
    }

    pub(super) fn binary(&mut self, f: Binary, a: &View, b: &View, shape: &[usize]) -> View {
        let op = match f {
            Binary::Add => Aclnn::Add,
            Binary::Sub => Aclnn::Sub,
            Binary::Mul => Aclnn::Mul,
            Binary::Div => Aclnn::Div,
        };
        if f == Binary::Add
            && let Some(out) = self.residual_kernel(a, b, None)
        {
            return out;
        }
        // Two values of one order in memory are combined in that order.
        if let (Some(order), true) = (a.dense_order(), a.shape == b.shape)
            && a.strides == b.strides
        {
            let out = self.temp_like(a, a.dtype);
            let inputs = [a, b].map(|view| view.permute(&order)).to_vec();
            self.launch(op, inputs, vec![out.permute(&order)]);
            return out;
        }
        let inputs = [a, b].map(|view| self.contiguous(&view.unexpanded()));
        self.emit(op, inputs.to_vec(), a.dtype, shape)
    }
}

/// Whether a factor of a `[B, L, C]` is one per channel, for all tokens of a batch row.
fn is_gate(factor: &View, shape: &[usize]) -> bool {
    match (factor.shape.as_slice(), shape) {
        (&[rows, 1, channels], &[batch, _, c]) => channels == c && (rows == batch || rows == 1),
        _ => false,
    }
}
