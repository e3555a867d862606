//! Every aclnn function through the C interface, against plain loops in f64 and with calls that must be refused.
//!
//! Bounds: a result that is rounded once to f16, bf16 or f32 is off by at most half a unit in its last place, 2^-11,
//! 2^-8 or 2^-24 of it; what is computed before that in f32 adds a part of the size of what was added up.

mod attention;
mod convolution;
mod device;
mod elementwise;
mod matmul;
mod movement;
mod norm;
mod refusals;
mod speed;
mod workspace;
