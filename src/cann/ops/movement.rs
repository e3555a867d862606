//! Operators that move elements.

use super::{Ops, Prepared, Tensor};
use crate::Result;
use crate::cann::values::Tensors;

impl Ops<'_> {
    /// `x` with its axes in another order: axis `i` of `out` is axis `axes[i]` of `x`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn permute(&self, x: &Tensor, axes: &[usize], out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let axes = self.axes(axes)?;
        self.call(
            "aclnnPermute",
            f.aclnnPermute,
            &[x, &axes, out],
            |workspace, executor| {
                let first = f.aclnnPermuteGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(x.raw(), axes.raw(), out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `out = x`, whatever the strides of both; `x` is broadcast and converted to the type of `out`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn copy(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.call(
            "aclnnInplaceCopy",
            f.aclnnInplaceCopy,
            &[x, out],
            |workspace, executor| {
                let first = f.aclnnInplaceCopyGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(out.raw_mut(), x.raw(), workspace, executor) }
            },
        )
    }

    /// Tensors one behind the other along an axis.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn cat(&self, tensors: &[&Tensor], axis: usize, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        for tensor in tensors {
            assert!(self.context.is(tensor.context()), "tensors of this device");
        }
        let tensors = Tensors::new(self.context, tensors)?;
        self.call(
            "aclnnCat",
            f.aclnnCat,
            &[&tensors, out],
            |workspace, executor| {
                let (first, axis) = (f.aclnnCatGetWorkspaceSize, super::signed(axis));
                // SAFETY: see `Ops::call`.
                unsafe { first(tensors.raw(), axis, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `x` with more elements, all `value`, before and behind each axis.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn pad(
        &self,
        x: &Tensor,
        before_behind: &[(usize, usize)],
        value: f64,
        out: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        // CANN begins with the last axis.
        let pad = before_behind.iter().rev();
        let pad: Vec<usize> = pad.flat_map(|&(before, behind)| [before, behind]).collect();
        let (pad, value) = (self.axes(&pad)?, self.scalar(value, x)?);
        let launch = f.aclnnConstantPadNd;
        self.call(
            "aclnnConstantPadNd",
            launch,
            &[x, &pad, &value, out],
            |workspace, executor| {
                let first = f.aclnnConstantPadNdGetWorkspaceSize;
                let (x, pad, value) = (x.raw(), pad.raw(), value.raw());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, pad, value, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// The rows of `weight`, `[R, D]`, that `indices` name: the shape of `indices`, then `D`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn embedding(&self, weight: &Tensor, indices: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let launch = f.aclnnEmbedding;
        self.call(
            "aclnnEmbedding",
            launch,
            &[weight, indices, out],
            |workspace, executor| {
                let first = f.aclnnEmbeddingGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(weight.raw(), indices.raw(), out.raw(), workspace, executor) }
            },
        )
    }

    /// `x`, `[B, C, T, H, W]`, in another size of `[T, H, W]`: each place takes the nearest element.
    /// `scales` are new sizes through old ones, or 0 to have them computed.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn upsample_nearest(
        &self,
        x: &Tensor,
        size: [usize; 3],
        scales: [f64; 3],
        out: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let (size, [t, h, w]) = (self.axes(&size)?, scales);
        let launch = f.aclnnUpsampleNearest3d;
        self.call(
            "aclnnUpsampleNearest3d",
            launch,
            &[x, &size, out],
            |workspace, executor| {
                let first = f.aclnnUpsampleNearest3dGetWorkspaceSize;
                let (x, size, out) = (x.raw(), size.raw(), out.raw_mut());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, size, t, h, w, out, workspace, executor) }
            },
        )
    }

    /// The same with linear interpolation along the three axes. With `align_corners` the centres of
    /// the first and last elements stay where they are, else the outer edges do.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn upsample_trilinear(
        &self,
        x: &Tensor,
        size: [usize; 3],
        align_corners: bool,
        scales: [f64; 3],
        out: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let (size, [t, h, w]) = (self.axes(&size)?, scales);
        let launch = f.aclnnUpsampleTrilinear3d;
        self.call(
            "aclnnUpsampleTrilinear3d",
            launch,
            &[x, &size, out],
            |workspace, executor| {
                let first = f.aclnnUpsampleTrilinear3dGetWorkspaceSize;
                let (x, size, out) = (x.raw(), size.raw(), out.raw_mut());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, size, align_corners, t, h, w, out, workspace, executor) }
            },
        )
    }
}
