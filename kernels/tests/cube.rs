//! The cube's instructions of the twin: programs in `cube/` compare them with index formulas, and their faults with texts.

#![cfg(target_os = "linux")]

mod support;

use support::passes;

#[test]
fn loads_move_what_their_formulas_say() {
    passes("cube", "loads");
}

#[test]
fn products_and_fixpipe_compute_what_their_formulas_say() {
    passes("cube", "products");
}

#[test]
fn misuse_is_refused_with_a_text_that_says_what_to_do() {
    passes("cube", "faults");
}

#[test]
fn a_matmul_with_double_buffers_has_no_race_and_the_right_result() {
    passes("cube", "matmul");
}
