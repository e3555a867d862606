//! Where the weights of a model come from.

pub mod hub;
