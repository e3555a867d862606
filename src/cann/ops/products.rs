//! Matrix products and convolutions. Sums are in `f32`.

use super::{Argument, Ops, Prepared, Tensor};
use crate::Result;

/// Operands are not converted to another type (`KEEP_DTYPE`).
const KEEP_DTYPE: i8 = 0;

/// The arguments of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvArgs<'a> {
    /// `[B, C, T, H, W]`, `[B, C, H, W]` or `[B, C, L]`, with the format of that name.
    pub input: &'a Tensor,
    /// `[C_out, C / groups, kernel...]`.
    pub weight: &'a Tensor,
    /// `[C_out]`.
    pub bias: Option<&'a Tensor>,
    /// Steps per axis of the kernel.
    pub stride: &'a [i64],
    /// Zeros before and behind each axis.
    pub padding: &'a [i64],
    /// Steps within the kernel per axis.
    pub dilation: &'a [i64],
    /// How many parts the channels are in.
    pub groups: i64,
    /// `[B, C_out, ...]`.
    pub out: &'a Tensor,
}

impl Ops<'_> {
    /// `out = a @ b`; leading axes are broadcast.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn matmul(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.call(
            "aclnnMatmul",
            f.aclnnMatmul,
            &[a, b, out],
            |workspace, executor| {
                let first = f.aclnnMatmulGetWorkspaceSize;
                let (a, b, out) = (a.raw(), b.raw(), out.raw_mut());
                // SAFETY: see `Ops::call`.
                unsafe { first(a, b, out, KEEP_DTYPE, workspace, executor) }
            },
        )
    }

    /// `out = a @ b` for each of `B` pairs: `[B, M, K]` and `[B, K, N]`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn batch_matmul(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let launch = f.aclnnBatchMatMul;
        self.call(
            "aclnnBatchMatMul",
            launch,
            &[a, b, out],
            |workspace, executor| {
                let first = f.aclnnBatchMatMulGetWorkspaceSize;
                let (a, b, out) = (a.raw(), b.raw(), out.raw_mut());
                // SAFETY: see `Ops::call`.
                unsafe { first(a, b, out, KEEP_DTYPE, workspace, executor) }
            },
        )
    }

    /// `out = bias + a @ b`: `[M, K]` and `[K, N]`, the bias broadcast to `[M, N]`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn addmm(&self, bias: &Tensor, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let one = self.scalar(1.0, out)?;
        let arguments: [&dyn Argument; 5] = [bias, a, b, &one, out];
        self.call(
            "aclnnAddmm",
            f.aclnnAddmm,
            &arguments,
            |workspace, executor| {
                let first = f.aclnnAddmmGetWorkspaceSize;
                let (bias, a, b, one) = (bias.raw(), a.raw(), b.raw(), one.raw());
                let out = out.raw_mut();
                // SAFETY: see `Ops::call`.
                unsafe { first(bias, a, b, one, one, out, KEEP_DTYPE, workspace, executor) }
            },
        )
    }

    /// A convolution.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn conv(&self, args: ConvArgs<'_>) -> Result<Prepared> {
        let f = self.functions();
        let [stride, padding, dilation] = [args.stride, args.padding, args.dilation];
        let (stride, padding) = (self.ints(stride)?, self.ints(padding)?);
        let dilation = self.ints(dilation)?;
        // Of transposed convolutions only.
        let output_padding = self.ints(&vec![0; args.stride.len()])?;
        let arguments: [&dyn Argument; 8] = [
            args.input,
            args.weight,
            &args.bias,
            &stride,
            &padding,
            &dilation,
            &output_padding,
            args.out,
        ];
        let launch = f.aclnnConvolution;
        self.call(
            "aclnnConvolution",
            launch,
            &arguments,
            |workspace, executor| {
                // SAFETY: see `Ops::call`.
                unsafe {
                    (f.aclnnConvolutionGetWorkspaceSize)(
                        args.input.raw(),
                        args.weight.raw(),
                        super::raw(args.bias),
                        stride.raw(),
                        padding.raw(),
                        dilation.raw(),
                        false,
                        output_padding.raw(),
                        args.groups,
                        args.out.raw_mut(),
                        KEEP_DTYPE,
                        workspace,
                        executor,
                    )
                }
            },
        )
    }
}
