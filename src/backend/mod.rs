//! Devices that run graphs.

pub mod onnx;
