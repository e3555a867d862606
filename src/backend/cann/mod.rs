//! The Ascend 910B through CANN: `cann:N`, and `twin:N`, its twin on the CPU.
//!
//! A graph becomes a [`plan::Plan`]: launches of aclnn operators ([`call`]) over strided [`view`]s of
//! buffers (`lower`), with all values in one arena. Plans know no device; `crate::cann` runs them.

pub mod call;
pub mod lower;
pub mod plan;
pub mod predict;
pub mod soc;
pub mod view;
