//! The samplers through their public interface.

mod analytic;
mod errors;
mod goldens;
mod properties;
