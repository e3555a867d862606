//! The `ascendit` program.

fn main() {}
