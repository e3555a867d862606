//! The twin's runtime through the C interface: what it does, what it refuses and with which words, and
//! what goes wrong on demand.

mod copies;
mod descriptors;
mod environment;
mod events;
mod faults;
mod kernels;
mod launches;
mod memory;
mod profiles;
mod start;
mod streams;
mod twin;
