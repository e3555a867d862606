//! Normalisations and reductions.

use super::super::call::Aclnn;
use super::super::view::View;
use super::{Lowering, inverse};
use crate::graph::{Op, Reduce};
use crate::tensor::DType;

impl Lowering<'_> {
    /// `(x, weight? [C], bias? [C])`. CANN normalises the last axis; another one is moved there, and
    /// the result stays in that order in memory for what comes next.
    pub(super) fn layer_norm(&mut self, op: &Op, inputs: &[View], axis: usize, eps: f32) -> View {
        if let Some(out) = self.norm_kernel(op, inputs, false) {
            return out;
        }
        let rank = inputs[0].shape.len();
        let mut order: Vec<usize> = (0..rank).filter(|&a| a != axis).collect();
        order.push(axis);
        let x = self.contiguous(&inputs[0].permute(&order));
        let (dtype, shape) = (x.dtype, x.shape.clone());
        let mut operands = vec![x];
        for affine in &inputs[1..] {
            operands.push(self.contiguous(affine));
        }
        let out = self.emit(Aclnn::LayerNorm { eps }, operands, dtype, &shape);
        out.permute(&inverse(&order))
    }

    /// `layer_norm(x) · (1 + scale) + shift` as one normalisation per row, with the row's `1 + scale`
    /// and `shift` as weight and bias in f32: no pass over `x` is added.
    pub(super) fn ada_layer_norm(&mut self, inputs: &[View], eps: f32) -> View {
        if let Some(out) = self.ada_layer_norm_kernel(inputs, eps) {
            return out;
        }
        let x = self.contiguous(&inputs[0]);
        let shift = self.cast(&inputs[1], DType::F32);
        let scale = self.cast(&inputs[2], DType::F32);
        let scale = self.contiguous(&scale);
        let weight = self.affine(&scale, 1.0, 1.0);
        let shift = self.contiguous(&shift);
        let out = self.temp(x.dtype, &x.shape);
        for row in 0..x.shape[0] {
            self.launch(
                Aclnn::LayerNorm { eps },
                vec![
                    x.at(0, row),
                    weight.at(0, row).at(0, 0),
                    shift.at(0, row).at(0, 0),
                ],
                vec![out.at(0, row)],
            );
        }
        out
    }

    pub(super) fn rms_norm(&mut self, x: &View, weight: &View, eps: f32) -> View {
        let (x, weight) = (self.contiguous(x), self.contiguous(weight));
        let out = self.temp(x.dtype, &x.shape);
        let mut rows = x.shape.clone();
        *rows.last_mut().expect("an axis to normalise") = 1;
        let rstd = self.temp(DType::F32, &rows);
        self.launch(
            Aclnn::RmsNorm { eps },
            vec![x, weight],
            vec![out.clone(), rstd],
        );
        out
    }

    pub(super) fn group_norm(&mut self, op: &Op, inputs: &[View], groups: usize, eps: f32) -> View {
        if let Some(out) = self.norm_kernel(op, inputs, false) {
            return out;
        }
        let operands: Vec<View> = inputs.iter().map(|view| self.contiguous(view)).collect();
        let x = &operands[0];
        let (dtype, shape) = (x.dtype, x.shape.clone());
        let out = self.temp(dtype, &shape);
        let statistics = [0; 2].map(|_| self.temp(dtype, &[shape[0], groups]));
        let outputs = [vec![out.clone()], statistics.to_vec()].concat();
        self.launch(Aclnn::GroupNorm { groups, eps }, operands, outputs);
        out
    }

    pub(super) fn softmax(&mut self, x: &View) -> View {
        let x = self.contiguous(x);
        let (dtype, shape) = (x.dtype, x.shape.clone());
        self.emit(Aclnn::Softmax, vec![x], dtype, &shape)
    }

    pub(super) fn reduce(&mut self, x: &View, kind: Reduce, axes: &[usize]) -> View {
        let x = self.contiguous(x);
        let mut shape = x.shape.clone();
        axes.iter().for_each(|&axis| shape[axis] = 1);
        let op = match kind {
            _ if axes.is_empty() => return x,
            Reduce::Mean => Aclnn::Mean(axes.to_vec()),
            Reduce::Sum => Aclnn::ReduceSum(axes.to_vec()),
            Reduce::Max => Aclnn::Amax(axes.to_vec()),
        };
        let dtype = x.dtype;
        self.emit(op, vec![x], dtype, &shape)
    }
}
