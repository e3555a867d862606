//! Normalisations.

use super::{Argument, Ops, Prepared, Tensor, raw};
use crate::Result;

impl Ops<'_> {
    /// Mean 0 and variance 1 over the last axes, of the sizes `normalized`, then `* weight + bias`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn layer_norm(
        &self,
        x: &Tensor,
        normalized: &[usize],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
        out: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let sizes = self.axes(normalized)?;
        let arguments: [&dyn Argument; 5] = [x, &sizes, &weight, &bias, out];
        self.call(
            "aclnnLayerNorm",
            f.aclnnLayerNorm,
            &arguments,
            |workspace, executor| {
                // SAFETY: see `Ops::call`; mean and deviation may be left out.
                unsafe {
                    (f.aclnnLayerNormGetWorkspaceSize)(
                        x.raw(),
                        sizes.raw(),
                        raw(weight),
                        raw(bias),
                        eps,
                        out.raw_mut(),
                        std::ptr::null_mut(),
                        std::ptr::null_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }

    /// `out = x / sqrt(mean(x * x) + eps) * gamma` over the axes of `gamma`, which are the last. `rstd`
    /// gets the factors in `f32`: the shape of `x` with 1 for those axes.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn rms_norm(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        eps: f64,
        out: &Tensor,
        rstd: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let launch = f.aclnnRmsNorm;
        self.call(
            "aclnnRmsNorm",
            launch,
            &[x, gamma, out, rstd],
            |workspace, executor| {
                let first = f.aclnnRmsNormGetWorkspaceSize;
                let (x, gamma, out, rstd) = (x.raw(), gamma.raw(), out.raw(), rstd.raw());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, gamma, eps, out, rstd, workspace, executor) }
            },
        )
    }

    /// Mean 0 and variance 1 per batch row and group of channels of `x`: `[B, C, ...]`, then
    /// `* gamma + beta`, both `[C]`. `mean` and `rstd`, `[B, groups]`, get the statistics.
    ///
    /// # Errors
    /// CANN's refusal.
    #[allow(clippy::too_many_arguments)] // the operator's
    pub fn group_norm(
        &self,
        x: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        groups: usize,
        eps: f64,
        out: &Tensor,
        mean: &Tensor,
        rstd: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let size = |axis: usize| super::signed(x.shape().get(axis).copied().unwrap_or(1));
        let pixels = super::signed(x.shape().iter().skip(2).product());
        let arguments: [&dyn Argument; 6] = [x, &gamma, &beta, out, mean, rstd];
        self.call(
            "aclnnGroupNorm",
            f.aclnnGroupNorm,
            &arguments,
            |workspace, executor| {
                // SAFETY: see `Ops::call`.
                unsafe {
                    (f.aclnnGroupNormGetWorkspaceSize)(
                        x.raw(),
                        raw(gamma),
                        raw(beta),
                        size(0),
                        size(1),
                        pixels,
                        super::signed(groups),
                        eps,
                        out.raw_mut(),
                        mean.raw_mut(),
                        rstd.raw_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }
}
