//! The aclnn functions. Each is checked in its first phase, which refuses what CANN refuses and notes what CANN does
//! unasked (conversions, copies of strided tensors), and computed in its second phase on the stream's thread.
//!
//! Numbers: 16-bit elements are widened to f32, sums run in f32, and the result is rounded once to the output's type.
//! Where an aclnn function is documented to go through a 16-bit value in between, so does this one.

// The first argument of most functions is called `self` by CANN.
#![allow(clippy::too_many_arguments)]

mod attention;
mod convolution;
mod elementwise;
mod matmul;
mod movement;
mod norm;
mod product;
mod reduction;
mod unary;
mod upsample;

pub(crate) use attention::*;
pub(crate) use convolution::*;
pub(crate) use elementwise::*;
pub(crate) use matmul::*;
pub(crate) use movement::*;
pub(crate) use norm::*;
pub(crate) use reduction::*;
pub(crate) use unary::*;
pub(crate) use upsample::*;

use crate::array::element;
use crate::nnop::{Access, Task, Tensor};
use crate::rules;
use cann_sys::aclDataType;

/// Workspace that an operator on the cube units takes for itself. An estimate: CANN reserves 16 MiB for kernels that
/// use both kinds of cores, and what else it takes is not documented.
const CUBE_WORKSPACE: u64 = 16 << 20;

/// Multiple that workspace is given out in, bytes.
const WORKSPACE_GRAIN: u64 = 512;

/// What a first phase has found: which tensors are read and written, and what CANN does beside the operator itself.
#[derive(Default)]
struct Plan {
    reads: Vec<Tensor>,
    writes: Vec<Tensor>,
    workspace: u64,
    casts: u32,
    copies: u32,
}

impl Plan {
    /// A tensor that the operator reads as it lies.
    fn read(&mut self, t: &Tensor) {
        self.reads.push(t.clone());
    }

    /// A tensor that aclnn first copies if it is strided.
    fn read_contiguous(&mut self, t: &Tensor) {
        self.read(t);
        if !rules::is_contiguous(t) {
            self.copy(rules::bytes(t));
        }
    }

    /// An output, which aclnn writes through a copy if it is strided.
    fn write(&mut self, t: &Tensor) {
        self.writes.push(t.clone());
        if !rules::is_contiguous(t) {
            self.copy(rules::bytes(t));
        }
    }

    /// A hidden copy of so many bytes.
    fn copy(&mut self, bytes: u64) {
        self.copies += 1;
        self.workspace += bytes.next_multiple_of(WORKSPACE_GRAIN);
    }

    /// A hidden conversion of a tensor of this shape from one type to another, if they differ.
    fn cast(&mut self, shape: &[usize], from: aclDataType, to: aclDataType) {
        if from != to {
            self.casts += 1;
            let bytes = shape.iter().product::<usize>() * element::size(to).unwrap_or(0);
            self.workspace += (bytes as u64).next_multiple_of(WORKSPACE_GRAIN);
        }
    }

    /// The task for the second phase; `own` is what the operator takes for itself.
    fn task(self, own: u64, run: impl Fn(&Access) + Send + Sync + 'static) -> Task {
        let Self {
            reads,
            writes,
            workspace,
            casts,
            copies,
        } = self;
        let empty = writes.iter().all(|t| t.shape.contains(&0));
        Task {
            reads,
            writes,
            workspace: if empty { 0 } else { workspace + own },
            casts,
            copies,
            run: Box::new(move |access| {
                if !empty {
                    run(access);
                }
            }),
        }
    }
}

/// Defines the second phases of aclnn functions, which differ in their names only.
macro_rules! phase_2 {
    ($($name:ident)*) => {$(
        /// Second phase: enqueues what the first phase prepared.
        ///
        /// # Safety
        /// `executor` comes from this function's first phase; the tensors' memory and `workspace` stay alive until
        /// the stream has run it.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            workspace: *mut std::ffi::c_void,
            size: u64,
            executor: *mut cann_sys::aclOpExecutor,
            stream: cann_sys::aclrtStream,
        ) -> cann_sys::aclnnStatus {
            $crate::nnop::launch(stringify!($name), workspace, size, executor, stream)
        }
    )*};
}
use phase_2;
