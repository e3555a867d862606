//! Operators that work element by element. Shapes of several inputs are broadcast.

use super::{Ops, Prepared, Tensor};
use crate::Result;
use crate::cann::ElementType;
use crate::cann::values::Scalar;

/// Which form of GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// With the error function.
    Exact,
    /// With its approximation by a hyperbolic tangent.
    Tanh,
}

impl Ops<'_> {
    /// `out = a + b`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn add(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let alpha = self.scalar(1.0, out)?;
        self.call(
            "aclnnAdd",
            f.aclnnAdd,
            &[a, b, &alpha, out],
            |workspace, executor| {
                let first = f.aclnnAddGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe {
                    first(
                        a.raw(),
                        b.raw(),
                        alpha.raw(),
                        out.raw_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }

    /// `out = a - b`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn sub(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let alpha = self.scalar(1.0, out)?;
        self.call(
            "aclnnSub",
            f.aclnnSub,
            &[a, b, &alpha, out],
            |workspace, executor| {
                let first = f.aclnnSubGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe {
                    first(
                        a.raw(),
                        b.raw(),
                        alpha.raw(),
                        out.raw_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }

    /// `out = x + value`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn add_scalar(&self, x: &Tensor, value: f64, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let (other, alpha) = (self.scalar(value, x)?, self.scalar(1.0, x)?);
        self.call(
            "aclnnAdds",
            f.aclnnAdds,
            &[x, &other, &alpha, out],
            |workspace, executor| {
                let first = f.aclnnAddsGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe {
                    first(
                        x.raw(),
                        other.raw(),
                        alpha.raw(),
                        out.raw_mut(),
                        workspace,
                        executor,
                    )
                }
            },
        )
    }

    /// `out = x * value`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn mul_scalar(&self, x: &Tensor, value: f64, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        // bf16 times a number of another type than f64 is computed as f32, and converted for that.
        let other = match x.dtype() {
            ElementType::Bf16 => Scalar::double(self.context, value)?,
            _ => self.scalar(value, x)?,
        };
        self.call(
            "aclnnMuls",
            f.aclnnMuls,
            &[x, &other, out],
            |workspace, executor| {
                let first = f.aclnnMulsGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(x.raw(), other.raw(), out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `out = x + value * a * b`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn addcmul(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        value: f64,
        out: &Tensor,
    ) -> Result<Prepared> {
        let f = self.functions();
        let value = self.scalar(value, x)?;
        let arguments: [&dyn super::Argument; 5] = [x, a, b, &value, out];
        self.call(
            "aclnnAddcmul",
            f.aclnnAddcmul,
            &arguments,
            |workspace, executor| {
                let first = f.aclnnAddcmulGetWorkspaceSize;
                let (x, a, b, value) = (x.raw(), a.raw(), b.raw(), value.raw());
                // SAFETY: see `Ops::call`.
                unsafe { first(x, a, b, value, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `out = x` as another element type.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn cast(&self, x: &Tensor, to: ElementType, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.call(
            "aclnnCast",
            f.aclnnCast,
            &[x, out],
            |workspace, executor| {
                let first = f.aclnnCastGetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(x.raw(), to.raw(), out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `out = max(x, 0)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn relu(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.call(
            "aclnnRelu",
            f.aclnnRelu,
            &[x, out],
            |workspace, executor| {
                // SAFETY: see `Ops::call`.
                unsafe { (f.aclnnReluGetWorkspaceSize)(x.raw(), out.raw(), workspace, executor) }
            },
        )
    }

    /// `out = gelu(x)`, in either form.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn gelu_v2(&self, x: &Tensor, form: Gelu, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let approximate = match form {
            Gelu::Exact => 0,
            Gelu::Tanh => 1,
        };
        self.call(
            "aclnnGeluV2",
            f.aclnnGeluV2,
            &[x, out],
            |workspace, executor| {
                let first = f.aclnnGeluV2GetWorkspaceSize;
                // SAFETY: see `Ops::call`.
                unsafe { first(x.raw(), approximate, out.raw_mut(), workspace, executor) }
            },
        )
    }

    /// `out = a * b`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn mul(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let first = f.aclnnMulGetWorkspaceSize;
        self.binary("aclnnMul", first, f.aclnnMul, a, b, out)
    }

    /// `out = a / b`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn div(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        let first = f.aclnnDivGetWorkspaceSize;
        self.binary("aclnnDiv", first, f.aclnnDiv, a, b, out)
    }

    /// `out = -x`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn neg(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary("aclnnNeg", f.aclnnNegGetWorkspaceSize, f.aclnnNeg, x, out)
    }

    /// `out = exp(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn exp(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary("aclnnExp", f.aclnnExpGetWorkspaceSize, f.aclnnExp, x, out)
    }

    /// `out = sqrt(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn sqrt(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary(
            "aclnnSqrt",
            f.aclnnSqrtGetWorkspaceSize,
            f.aclnnSqrt,
            x,
            out,
        )
    }

    /// `out = sin(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn sin(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary("aclnnSin", f.aclnnSinGetWorkspaceSize, f.aclnnSin, x, out)
    }

    /// `out = cos(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn cos(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary("aclnnCos", f.aclnnCosGetWorkspaceSize, f.aclnnCos, x, out)
    }

    /// `out = tanh(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn tanh(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary(
            "aclnnTanh",
            f.aclnnTanhGetWorkspaceSize,
            f.aclnnTanh,
            x,
            out,
        )
    }

    /// `out = 1 / (1 + exp(-x))`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn sigmoid(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary(
            "aclnnSigmoid",
            f.aclnnSigmoidGetWorkspaceSize,
            f.aclnnSigmoid,
            x,
            out,
        )
    }

    /// `out = x * sigmoid(x)`.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn silu(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary(
            "aclnnSilu",
            f.aclnnSiluGetWorkspaceSize,
            f.aclnnSilu,
            x,
            out,
        )
    }

    /// `out = gelu(x)`, with the error function.
    ///
    /// # Errors
    /// CANN's refusal.
    pub fn gelu(&self, x: &Tensor, out: &Tensor) -> Result<Prepared> {
        let f = self.functions();
        self.unary(
            "aclnnGelu",
            f.aclnnGeluGetWorkspaceSize,
            f.aclnnGelu,
            x,
            out,
        )
    }
}
