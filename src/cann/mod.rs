//! The safe layer over CANN: devices, memory, streams, operators and kernels of an Ascend NPU.
//!
//! ```no_run
//! use ascendit::cann::{Cann, Context, ElementType, Layout, Search, Tensor};
//!
//! let cann = Cann::open(&Search::from_env())?;
//! let context = Context::new(&cann, 0)?;
//! let stream = context.stream()?;
//! let buffer = context.alloc(8)?;
//! let x = Tensor::new(&buffer, Layout::contiguous(ElementType::F32, &[2]))?;
//! stream.upload(bytemuck::cast_slice(&[1.0f32, 4.0]), &buffer, 0)?;
//! let sqrt = context.ops().sqrt(&x, &x)?;
//! let workspace = context.alloc(sqrt.workspace_bytes())?;
//! sqrt.launch(Some(&workspace), &stream)?;
//! assert_eq!(stream.download(&buffer, 0, 8)?, bytemuck::cast_slice::<f32, u8>(&[1.0, 2.0]));
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! This module is the only one of the engine that calls CANN. What it gives is safe whatever is done
//! with it: descriptors, buffers and pinned memory are owned; what launches in flight use stays alive
//! until the device is done with it ([`Stream`]); objects of two libraries or two devices are told
//! apart. Mixing them up is an error of the engine and panics; everything else that can go wrong is
//! an [`crate::Error`] with the operation, CANN's code and its name, and what CANN says itself.
//!
//! Libraries and contexts are values: the twin and a card can be open in one process. Only two things
//! are kept per process, because CANN keeps them so: whether a library is initialised, and how many
//! contexts a device has.
//!
//! It knows nothing of graphs, plans nothing and never copies a tensor by itself.

mod codes;
mod context;
mod event;
mod kernel;
mod launch;
mod library;
mod memory;
mod ops;
mod process;
mod profile;
mod stream;
mod tensor;
mod transfer;
mod values;
mod version;

pub use context::{Context, Cores, Memory};
pub use event::Event;
pub use kernel::{Arg, Kernel, KernelBinary, KernelSearch};
pub use launch::{Prepared, Repeatable};
pub use library::{Cann, Place, Search, TwinSearch};
pub use memory::{DeviceBuffer, PinnedBuffer};
pub use ops::{AttentionLayout, ConvArgs, FlashArgs, Gelu, Ops, PromptArgs};
pub use profile::Profile;
pub use stream::Stream;
pub use tensor::{ElementType, Format, Layout, Tensor};
pub use version::Version;
