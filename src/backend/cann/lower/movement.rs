//! Shapes, joints and tables.

use super::super::call::Aclnn;
use super::super::view::View;
use super::{Lowering, inverse};
use crate::graph::ResizeMode;

impl Lowering<'_> {
    /// The same elements under another shape, copied only where strides cannot express it.
    pub(super) fn reshape(&mut self, x: &View, shape: &[usize]) -> View {
        match x.reshape(shape) {
            Some(view) => view,
            None => {
                let whole = self.contiguous(x).reshape(shape);
                whole.expect("what is in one piece has any shape")
            }
        }
    }

    /// One joining launch; or, where the largest part would have to be brought into one piece for it,
    /// a copy of each part to its place. With kernels of our own, in the order in which the largest part
    /// lies: what they write goes on so.
    pub(super) fn concat(&mut self, parts: &[View], axis: usize, shape: &[usize]) -> View {
        let largest = parts.iter().max_by_key(|part| part.size_bytes());
        let largest = largest.expect("there are parts");
        let dtype = largest.dtype;
        if largest.is_contiguous() {
            let parts: Vec<View> = parts.iter().map(|part| self.contiguous(part)).collect();
            return self.emit(Aclnn::Cat(axis), parts, dtype, shape);
        }
        if let Some(order) = self.order_of_joint(largest, axis) {
            return self.join_in(&order, parts, axis, shape);
        }
        let order = largest.order();
        let whole = largest.unexpanded().shape == largest.shape;
        if self.target.kernels.is_some() && whole && !order.is_sorted() {
            let parts: Vec<View> = parts.iter().map(|part| part.permute(&order)).collect();
            let stored: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
            let back = inverse(&order);
            return self.concat(&parts, back[axis], &stored).permute(&back);
        }
        let out = self.temp(dtype, shape);
        let mut start = 0;
        for part in parts {
            let len = part.shape[axis];
            let place = out.slice(axis, start, len);
            self.launch(Aclnn::Copy, vec![part.clone()], vec![place]);
            start += len;
        }
        out
    }

    /// The order in which the largest part lies, if it can be made in its place of a joint of that
    /// order: parts are in one piece there if they are joined along the outermost axis.
    fn order_of_joint(&self, largest: &View, axis: usize) -> Option<Vec<usize>> {
        let order = largest.dense_order()?;
        let outer = order.iter().take_while(|&&other| other != axis);
        let outermost = outer.into_iter().all(|&other| largest.shape[other] == 1);
        (outermost && self.is_movable(largest)).then_some(order)
    }

    /// A joint whose axes lie in an order. Parts of that order that have a buffer of their own move
    /// there, so that they are written to their place at once; others are copied.
    fn join_in(&mut self, order: &[usize], parts: &[View], axis: usize, shape: &[usize]) -> View {
        let stored: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let out = self.temp(parts[0].dtype, &stored).permute(&inverse(order));
        let mut start = 0;
        for part in parts {
            let place = out.slice(axis, start, part.shape[axis]);
            let [from, to] = [part, &place].map(|view| view.permute(order));
            match self.is_movable(part) && from.is_contiguous() {
                true => {
                    self.moved.insert(part.base, (place.base, place.offset));
                }
                false => self.copy(&from, &to),
            }
            start += part.shape[axis];
        }
        out
    }

    pub(super) fn pad(&mut self, x: &View, axis: usize, before: usize, after: usize) -> View {
        let mut pads = vec![(0, 0); x.shape.len()];
        pads[axis] = (before, after);
        self.pad_all(x, pads)
    }

    /// Zeros around every axis.
    pub(super) fn pad_all(&mut self, x: &View, pads: Vec<(usize, usize)>) -> View {
        if pads.iter().all(|&pad| pad == (0, 0)) {
            return x.clone();
        }
        let sizes = x.shape.iter().zip(&pads);
        let shape: Vec<usize> = sizes
            .map(|(n, (before, after))| before + n + after)
            .collect();
        let x = self.contiguous(x);
        let dtype = x.dtype;
        self.emit(Aclnn::ConstantPadNd(pads), vec![x], dtype, &shape)
    }

    pub(super) fn gather(&mut self, table: &View, ids: &View, shape: &[usize]) -> View {
        let inputs = vec![self.contiguous(table), self.contiguous(ids)];
        self.emit(Aclnn::Embedding, inputs, table.dtype, shape)
    }

    /// Operators for enlargement take three spatial axes; fewer get axes of size 1 in front.
    pub(super) fn resize(
        &mut self,
        x: &View,
        mode: ResizeMode,
        factors: &[usize],
        shape: &[usize],
    ) -> View {
        if let Some(out) = self.resize_kernel(x, mode, factors, shape) {
            return out;
        }
        let op = match mode {
            ResizeMode::Nearest => Aclnn::UpsampleNearest3d,
            ResizeMode::Linear => Aclnn::UpsampleTrilinear3d,
        };
        let volume =
            |shape: &[usize]| [&shape[..2], &vec![1; 5 - shape.len()], &shape[2..]].concat();
        let x = self.contiguous(x);
        let x = self.reshape(&x, &volume(&x.shape));
        let dtype = x.dtype;
        let out = self.emit(op, vec![x], dtype, &volume(shape));
        out.reshape(shape).expect("a new value is in one piece")
    }
}
