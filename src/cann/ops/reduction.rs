//! Operators that make axes disappear. `out` keeps them with size 1 if it has as many axes as `x`.

use super::{Ops, Prepared, Tensor};
use crate::Result;

fn keeps_axes(x: &Tensor, out: &Tensor) -> bool {
    x.shape().len() == out.shape().len()
}

impl Ops<'_> {
    /// The mean over axes.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn mean(&self, x: &Tensor, axes: &[usize], out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let (axes, keep) = (self.axes(axes)?, keeps_axes(x, out));
        self.call(
            "aclnnMean",
            f.aclnnMean,
            &[x, &axes, out],
            |workspace, executor| {
                let first = f.aclnnMeanGetWorkspaceSize;
                let (x, axes, dtype) = (x.raw(), axes.raw(), out.dtype().raw());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, axes, keep, dtype, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// The sum over axes.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn sum(&self, x: &Tensor, axes: &[usize], out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let (axes, keep) = (self.axes(axes)?, keeps_axes(x, out));
        self.call(
            "aclnnReduceSum",
            f.aclnnReduceSum,
            &[x, &axes, out],
            |workspace, executor| {
                let first = f.aclnnReduceSumGetWorkspaceSize;
                let (x, axes, dtype) = (x.raw(), axes.raw(), out.dtype().raw());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, axes, keep, dtype, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// The largest over axes.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn max(&self, x: &Tensor, axes: &[usize], out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let (axes, keep) = (self.axes(axes)?, keeps_axes(x, out));
        self.call(
            "aclnnAmax",
            f.aclnnAmax,
            &[x, &axes, out],
            |workspace, executor| {
                let first = f.aclnnAmaxGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe {
                    first(
                        x.raw(),
                        axes.raw(),
                        keep,
                        out.raw_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }
}
