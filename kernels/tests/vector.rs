//! The instructions of vector cores on the twin: programs in `vector/` compare all of UB with index formulas, and their
//! faults with texts.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod support;

use support::passes;

#[test]
fn elementwise_instructions_compute_what_their_formulas_say_in_every_form() {
    passes("vector", "elementwise");
}

#[test]
fn casts_round_in_every_mode_and_reductions_add_as_trees() {
    passes("vector", "numbers");
}

#[test]
fn moves_gathers_and_selections_touch_what_their_formulas_say() {
    passes("vector", "rearrange");
}

#[test]
fn queues_hand_buffers_on_and_two_buffers_are_faster_than_one() {
    passes("vector", "queues");
}

#[test]
fn misuse_is_refused_with_a_text_that_says_what_is_wrong() {
    passes("vector", "faults");
}
