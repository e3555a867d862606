//! Products of f32 matrices, which all of the cube operators come down to.

use crate::array::View;
use cann_sys::ACL_FLOAT;
use gemm::Parallelism;

/// A matrix for `gemm`: where it starts, and the distances of rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    pub(super) at: *const f32,
    pub(super) row: isize,
    pub(super) column: isize,
}

// SAFETY: a pointer that is only read through; whoever makes it keeps the elements alive, see `multiply`.
unsafe impl Send for Matrix {}
// SAFETY: as above.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A row-major matrix.
    pub(super) fn of(data: &[f32], columns: usize) -> Self {
        Self {
            at: data.as_ptr(),
            row: columns as isize,
            column: 1,
        }
    }

    /// Rows and columns changed over.
    pub(super) fn transposed(self) -> Self {
        Self {
            row: self.column,
            column: self.row,
            ..self
        }
    }
}

/// `out = read_out * out + a * b` for `a` `[m, k]`, `b` `[k, n]` and a row-major `out` `[m, n]` whose rows are
/// `out_row` apart.
///
/// # Safety
/// All elements that the strides reach are inside what the pointers point into, and nothing else writes them.
pub(super) unsafe fn multiply(
    [m, k, n]: [usize; 3],
    a: Matrix,
    b: Matrix,
    out: *mut f32,
    out_row: isize,
    threads: bool,
) {
    let parallelism = if threads {
        Parallelism::Rayon(0)
    } else {
        Parallelism::None
    };
    // SAFETY: promised by the caller.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            out_row,
            false,
            a.at,
            a.column,
            a.row,
            b.at,
            b.column,
            b.row,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The f32 elements of a view of two or more axes for products of its last two. An f32 view is used as it lies; others
/// are converted in the order of memory, so that a transposed matrix is read along its rows in memory too.
pub(super) struct Operand {
    view: View,
    /// What the view points into if it was converted.
    _converted: Option<Vec<f32>>,
}

impl Operand {
    /// `hf32`: round to the 11 bits of HF32, which the cube units make of f32 where that is allowed.
    pub(super) fn new(view: &View, hf32: bool) -> Self {
        if view.dtype() == ACL_FLOAT && !hf32 {
            return Self {
                view: view.clone(),
                _converted: None,
            };
        }
        let rank = view.shape().len();
        let mut order: Vec<usize> = (0..rank).collect();
        let transposed = view.stride(rank - 2).abs() < view.stride(rank - 1).abs();
        if transposed {
            order.swap(rank - 2, rank - 1);
        }
        let source = view.permute(&order);
        let mut data = source.to_f32();
        if hf32 {
            data.iter_mut().for_each(|v| *v = to_hf32(*v));
        }
        // The vector's buffer stays where it is when the vector is moved.
        let view = View::of_f32(&mut data, source.shape()).permute(&order);
        Self {
            view,
            _converted: Some(data),
        }
    }

    /// The matrices, with their leading axes broadcast to `lead`, one after the other.
    pub(super) fn matrices(&self, lead: &[usize]) -> Vec<Matrix> {
        let rank = self.view.shape().len();
        let (row, column) = (self.view.stride(rank - 2), self.view.stride(rank - 1));
        let shape = [lead, &self.view.shape()[rank - 2..]].concat();
        batches(&self.view.broadcast(&shape), lead.len())
            .iter()
            .map(|v| Matrix {
                at: v.base().cast(),
                row,
                column,
            })
            .collect()
    }
}

/// The parts of an array at each index of its first `axes` axes.
pub(super) fn batches(view: &View, axes: usize) -> Vec<View> {
    (0..axes).fold(vec![view.clone()], |parts, _| {
        parts
            .iter()
            .flat_map(|v| (0..v.shape()[0]).map(|i| v.at(i)))
            .collect()
    })
}

/// f32 with the mantissa rounded to 11 bits, ties to even.
pub(super) fn to_hf32(x: f32) -> f32 {
    let bits = x.to_bits();
    match x.is_finite() {
        true => f32::from_bits(bits.wrapping_add(0x7ff + (bits >> 12 & 1)) & !0xfff),
        false => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hf32_keeps_eleven_bits_of_the_mantissa() {
        let unit = 2f32.powi(-11);
        assert_eq!(to_hf32(1.0 + unit), 1.0 + unit);
        assert_eq!(to_hf32(1.0 + unit / 2.0), 1.0);
        assert_eq!(to_hf32(1.0 + unit * 1.5), 1.0 + unit * 2.0);
        assert_eq!(to_hf32(-1.0 - unit * 0.75), -1.0 - unit);
        assert!(to_hf32(f32::NAN).is_nan());
    }
}
