//! Stopping a generation: soon, and without leaving anything behind.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::Place;

/// Starts a generation, sends a signal some time after a message that begins so, and checks how it
/// ends.
fn stops(args: &str, message: &str, signal: Signal, code: i32) {
    let place = Place::new();
    place.demo();
    let before = place.files();
    let args = format!("generate seven --model demo --device reference -o out.mp4 {args}");
    let mut child = place.start(&args.split_whitespace().collect::<Vec<_>>());
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains(message) {
        let length = stderr.read_line(&mut said).expect("text");
        assert!(length > 0, "no {message:?} in {said}");
    }
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    kill_process(Pid::from_child(&child), signal).expect("the program runs");
    let status = child.wait().expect("the program ends");
    let elapsed = start.elapsed();
    stderr.read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert!(
        said.contains("WARN stopping; once more to stop at once"),
        "{said}"
    );
    assert!(!said.contains("ERROR"), "{said}");
    assert_eq!(place.files(), before);
}

#[test]
fn ctrl_c_stops_a_step() {
    stops("--steps 1000", "encode: ", Signal::INT, 130);
}

#[test]
fn a_termination_by_the_system_stops_a_step() {
    stops("--steps 1000", "encode: ", Signal::TERM, 200);
}

#[test]
fn ctrl_c_stops_a_decoding() {
    stops("--steps 1 --frames 65", "denoise: ", Signal::INT, 130);
}

#[test]
fn ctrl_c_stops_an_encoding() {
    // The text encoder is slow with many tokens.
    stops(
        "--steps 1 --frames 1 --text-tokens 2048 -v",
        "encode: compiling",
        Signal::INT,
        130,
    );
}
