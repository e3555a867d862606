//! CANN's operators: one method each, which calls the first phase and gives what can be launched.
//!
//! What an operator accepts is CANN's to say; a refusal is an error with CANN's reason. Operators that
//! CANN takes numbers for get them in this module's words, and what this engine never varies is left out.

mod attention;
mod elementwise;
mod movement;
mod norm;
mod products;
mod reduction;

pub use attention::{AttentionLayout, FlashArgs, PromptArgs};
pub use elementwise::Gelu;
pub use products::ConvArgs;

use std::sync::Arc;

use cann_sys::{Functions, aclOpExecutor, aclTensor, aclnnStatus};

use super::launch::Launch;
use super::stream::Keep;
use super::values::{Ints, Scalar, Tensors};
use super::{Context, Prepared, Tensor};
use crate::Result;

/// The operators of a device.
#[derive(Clone, Copy, Debug)]
pub struct Ops<'c> {
    context: &'c Context,
}

/// The first phase of operators on one tensor.
type Unary = unsafe extern "C" fn(
    *const aclTensor,
    *mut aclTensor,
    *mut u64,
    *mut *mut aclOpExecutor,
) -> aclnnStatus;

/// The first phase of operators on two tensors.
type Binary = unsafe extern "C" fn(
    *const aclTensor,
    *const aclTensor,
    *mut aclTensor,
    *mut u64,
    *mut *mut aclOpExecutor,
) -> aclnnStatus;

/// A descriptor that is passed to an operator.
trait Argument {
    /// The context that it was made in, and what keeps it alive; `None` for one that is left out.
    fn held(&self) -> Option<(&Context, Keep)>;
}

impl Argument for Tensor {
    fn held(&self) -> Option<(&Context, Keep)> {
        Some((self.context(), self.keep()))
    }
}

impl Argument for Option<&Tensor> {
    fn held(&self) -> Option<(&Context, Keep)> {
        self.and_then(Tensor::held)
    }
}

impl Argument for Arc<Scalar> {
    fn held(&self) -> Option<(&Context, Keep)> {
        Some((self.context(), self.clone()))
    }
}

impl Argument for Arc<Ints> {
    fn held(&self) -> Option<(&Context, Keep)> {
        Some((self.context(), self.clone()))
    }
}

impl Argument for Option<Arc<Ints>> {
    fn held(&self) -> Option<(&Context, Keep)> {
        self.as_ref().and_then(Argument::held)
    }
}

impl Argument for Arc<Tensors> {
    fn held(&self) -> Option<(&Context, Keep)> {
        Some((self.context(), self.clone()))
    }
}

/// The pointer of an argument that may be left out.
fn raw(tensor: Option<&Tensor>) -> *const aclTensor {
    tensor.map_or(std::ptr::null(), Tensor::raw)
}

impl<'c> Ops<'c> {
    pub(super) fn new(context: &'c Context) -> Self {
        Self { context }
    }

    fn functions(&self) -> &'c Functions {
        self.context.cann().functions()
    }

    fn scalar(&self, value: f64, of: &Tensor) -> Result<Arc<Scalar>> {
        Scalar::new(self.context, value, of.dtype())
    }

    fn ints(&self, values: &[i64]) -> Result<Arc<Ints>> {
        Ints::new(self.context, values)
    }

    /// Axes or sizes, as CANN takes them.
    fn axes(&self, axes: &[usize]) -> Result<Arc<Ints>> {
        let axes: Vec<i64> = axes.iter().map(|&axis| signed(axis)).collect();
        self.ints(&axes)
    }

    /// Calls a first phase. Sound if `first` passes on what is in `arguments`, null where the function
    /// takes it, and the two places that it is given: then all pointers are to what lives, and the
    /// operator holds it for as long as CANN uses it.
    fn call(
        &self,
        name: &'static str,
        launch: Launch,
        arguments: &[&dyn Argument],
        first: impl FnOnce(*mut u64, *mut *mut aclOpExecutor) -> aclnnStatus,
    ) -> Result<Prepared> {
        let held = arguments.iter().filter_map(|argument| argument.held());
        let keep = held.map(|(context, keep)| {
            assert!(
                self.context.is(context),
                "{name} of {} on something of {}",
                self.context.name(),
                context.name()
            );
            keep
        });
        Prepared::new(self.context, name, launch, keep.collect(), first)
    }

    fn unary(
        &self,
        name: &'static str,
        first: Unary,
        launch: Launch,
        x: &Tensor,
        out: &Tensor,
    ) -> Result<Prepared> {
        self.call(name, launch, &[x, out], |workspace, executor| {
            // SAFETY: see `Ops::call`.
            unsafe { first(x.raw(), out.raw_mut(), workspace, executor) }
        })
    }

    fn binary(
        &self,
        name: &'static str,
        first: Binary,
        launch: Launch,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
    ) -> Result<Prepared> {
        self.call(name, launch, &[a, b, out], |workspace, executor| {
            // SAFETY: see `Ops::call`.
            unsafe { first(a.raw(), b.raw(), out.raw_mut(), workspace, executor) }
        })
    }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).expect("sizes of tensors fit 63 bits")
}
