//! Strided views of device buffers: what reshapes, slices and permutations of the graph become.

use crate::tensor::{DType, numel};

/// One of a plan's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseId(pub usize);

/// Elements of a buffer: element `i` lies at `offset + Σ iₖ · strides[k]`, counted in elements from
/// the buffer's start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub base: BaseId,
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Steps of the axes; 0 repeats an element.
    pub strides: Vec<usize>,
    /// Where element 0 lies.
    pub offset: usize,
}

impl View {
    /// A whole buffer in row-major order.
    pub fn whole(base: BaseId, dtype: DType, shape: &[usize]) -> Self {
        Self {
            base,
            dtype,
            shape: shape.to_vec(),
            strides: row_major(shape),
            offset: 0,
        }
    }

    /// Bytes of the elements, repeated ones counted each time.
    pub fn size_bytes(&self) -> usize {
        numel(&self.shape) * self.dtype.size_bytes()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.is_dense_in(&(0..self.shape.len()).collect::<Vec<_>>())
    }

    /// Whether the elements lie in row-major order of the axes as `order` lists them, without gaps.
    fn is_dense_in(&self, order: &[usize]) -> bool {
        let mut step = 1;
        order.iter().rev().all(|&axis| {
            let fits = self.shape[axis] == 1 || self.strides[axis] == step;
            step *= self.shape[axis];
            fits
        })
    }

    /// The order of axes in which the elements lie densely, if there is one.
    pub fn dense_order(&self) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.shape.len()).collect();
        // Axes of size 1 stay where they are beside their neighbours; their strides mean nothing.
        order.sort_by_key(|&axis| std::cmp::Reverse(self.strides[axis]));
        if self.is_dense_in(&order) {
            return Some(order);
        }
        let (ones, mut rest): (Vec<usize>, Vec<usize>) =
            (0..self.shape.len()).partition(|&axis| self.shape[axis] == 1);
        rest.sort_by_key(|&axis| std::cmp::Reverse(self.strides[axis]));
        let order: Vec<usize> = ones.into_iter().chain(rest).collect();
        self.is_dense_in(&order).then_some(order)
    }

    /// The axes by the steps that they take, the largest first. An axis of size 1 stays before the next
    /// longer one.
    pub fn order(&self) -> Vec<usize> {
        let step = |axis: usize| {
            let longer = (axis..self.shape.len()).find(|&axis| self.shape[axis] > 1);
            longer.map_or(0, |axis| self.strides[axis])
        };
        let mut order: Vec<usize> = (0..self.shape.len()).collect();
        order.sort_by_key(|&axis| std::cmp::Reverse(step(axis)));
        order
    }

    /// Axis `i` of the result is axis `axes[i]`.
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            ..self.clone()
        }
    }

    /// `len` entries of an axis from `start`.
    pub fn slice(&self, axis: usize, start: usize, len: usize) -> Self {
        let mut view = self.clone();
        view.shape[axis] = len;
        view.offset += start * view.strides[axis];
        view
    }

    /// One entry of an axis, which goes away.
    pub fn at(&self, axis: usize, entry: usize) -> Self {
        let mut view = self.slice(axis, entry, 1);
        view.shape.remove(axis);
        view.strides.remove(axis);
        view
    }

    /// Axes of size 1 repeated, and axes put in front.
    pub fn expand(&self, shape: &[usize]) -> Self {
        let added = shape.len() - self.shape.len();
        let stride = |axis: usize| match axis.checked_sub(added) {
            Some(own) if self.shape[own] == shape[axis] => self.strides[own],
            _ => 0,
        };
        Self {
            strides: (0..shape.len()).map(stride).collect(),
            shape: shape.to_vec(),
            ..self.clone()
        }
    }

    /// The same with repeated axes back at size 1, as operators with broadcasting take it.
    pub fn unexpanded(&self) -> Self {
        let mut view = self.clone();
        for (size, stride) in view.shape.iter_mut().zip(&view.strides) {
            if *stride == 0 {
                *size = 1;
            }
        }
        view
    }

    /// The same elements in the same order under another shape, if strides can express it.
    pub fn reshape(&self, shape: &[usize]) -> Option<Self> {
        // Runs of axes that lie behind each other without gaps, as (size, stride).
        let mut runs: Vec<(usize, usize)> = vec![];
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            match runs.last_mut() {
                _ if size == 1 => {}
                Some((run, step)) if *step == stride * size => {
                    *run *= size;
                    *step = stride;
                }
                _ => runs.push((size, stride)),
            }
        }
        let mut strides = vec![0; shape.len()];
        let mut axis = shape.len();
        for (run, step) in runs.into_iter().rev() {
            let mut done = 1;
            while done < run {
                axis = axis.checked_sub(1)?;
                strides[axis] = step * done;
                done *= shape[axis];
            }
            if done != run {
                return None;
            }
        }
        // What is left has size 1.
        Some(Self {
            shape: shape.to_vec(),
            strides,
            ..self.clone()
        })
    }

    /// Elements that the view spans in its buffer from its first on, gaps included.
    pub fn span(&self) -> usize {
        let steps = self.shape.iter().zip(&self.strides);
        1 + steps
            .map(|(size, stride)| (size - 1) * stride)
            .sum::<usize>()
    }
}

/// Steps of a tensor in row-major order without gaps.
pub fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(shape: &[usize]) -> View {
        View::whole(BaseId(0), DType::F32, shape)
    }

    #[test]
    fn a_permuted_view_is_dense_but_not_contiguous() {
        let view = whole(&[2, 3, 4]).permute(&[0, 2, 1]);
        assert_eq!(
            (view.shape.as_slice(), view.strides.as_slice()),
            (&[2, 4, 3][..], &[12, 1, 4][..])
        );
        assert!(!view.is_contiguous());
        assert_eq!(view.dense_order(), Some(vec![0, 2, 1]));
        assert_eq!(whole(&[2, 3]).slice(1, 0, 2).dense_order(), None);
        assert_eq!(
            whole(&[4, 3]).slice(0, 1, 2).dense_order(),
            Some(vec![0, 1])
        );
    }

    #[test]
    fn a_reshape_is_free_where_strides_can_express_it() {
        let x = whole(&[2, 6, 4]);
        assert_eq!(x.reshape(&[12, 4]), Some(whole(&[12, 4])));
        assert_eq!(
            x.reshape(&[2, 2, 3, 1, 4]).map(|v| v.strides),
            Some(vec![24, 12, 4, 4, 1])
        );
        let heads = x.permute(&[1, 0, 2]);
        assert_eq!(heads.reshape(&[6, 8]), None);
        assert_eq!(
            heads.reshape(&[3, 2, 2, 4]).map(|v| v.strides),
            Some(vec![8, 4, 24, 1])
        );
        let part = x.slice(2, 1, 2);
        assert_eq!(
            part.reshape(&[12, 2]).map(|v| (v.offset, v.strides)),
            Some((1, vec![4, 1]))
        );
        assert_eq!(part.reshape(&[24]), None);
        assert_eq!(whole(&[1, 1]).reshape(&[1]).map(|v| v.shape), Some(vec![1]));
    }

    #[test]
    fn repeated_axes_cost_nothing_and_come_back() {
        let row = whole(&[3, 1]);
        let wide = row.expand(&[2, 3, 5]);
        assert_eq!(wide.strides, [0, 1, 0]);
        assert_eq!(wide.span(), 3);
        assert_eq!(wide.unexpanded().shape, [1, 3, 1]);
    }
}
