//! Kernels in AscendC for the Ascend 910B, and what launches them.
//!
//! A kernel `k` is a folder with `k.cpp`, which has its formula, tiling and cost at the top, and a module here with
//! its tiling struct, which kernel and Rust share, and the function that plans a launch for a shape. For a device
//! the sources are compiled by `CMakeLists.txt`, where CANN is. For the host they are compiled with this package
//! against `twin/`, which runs, checks and times them: [`twin`] launches them so. The shared library
//! that this package also is stands for the binary of a device: the twin of CANN loads it. On systems other than
//! Linux on x86-64 or aarch64 it is empty.

pub mod ada_layer_norm;
pub mod attention;
pub mod causal_conv3d;
pub mod chip;
pub mod gated_residual;
pub mod haar;
pub mod model_error;
pub mod norm_silu;
pub mod plan;
pub mod rope;
pub mod twin;
pub mod upsample;
pub mod validation;
pub mod vector;

/// The kernels for a device, where the build found a toolkit of CANN.
pub const DEVICE_BINARY: Option<&str> = option_env!("ASCENDIT_DEVICE_BINARY");

pub use chip::Chip;
pub use model_error::{MODEL_ERRORS, ModelError};
pub use plan::{BENCHES, Bench, Operand, Plan};
