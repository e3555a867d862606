//! Files that cannot be written.

use std::fs;

use super::{Case, case, check, with};
use crate::program::Place;

/// A generation to another output.
macro_rules! to {
    ($rest:literal) => {
        concat!("generate seven --device reference --quiet -o ", $rest)
    };
}

fn there(place: &Place) {
    place.write("out.mp4", "mine");
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(to!("out.avi"), 2, "?"),
        case(to!("out"), 2, "?"),
        case(to!("''"), 2, "?"),
        case(to!("nowhere/out.mp4"), 2, "?"),
        case(to!("/proc/out.mp4"), 2, "?"),
        with(there, to!("out.mp4"), 2, "?"),
        with(there, to!("out.mp4/"), 2, "?"),
        with(there, to!("out.mp4/x.mp4"), 2, "?"),
        with(
            |place| fs::create_dir(place.path("out.mp4")).expect("a folder"),
            to!("out.mp4"),
            2,
            "?",
        ),
        with(
            |place| {
                std::os::unix::fs::symlink("nowhere", place.path("out.mp4")).expect("a link");
            },
            to!("out.mp4"),
            2,
            "?",
        ),
        with(
            |place| place.write("out/frame-0003.png", "mine"),
            to!("out/frame-%04d.png"),
            2,
            "?",
        ),
        with(
            |place| place.write("out-2.mp4", "mine"),
            to!("out.mp4 --samples 3"),
            2,
            "?",
        ),
        case(to!("out.png"), 2, "?"),
        case(to!("out.gif --fps 60"), 2, "?"),
        case(to!("frame-%d-%d.png"), 2, "?"),
        case(to!("out.mp4 --size 4096x64"), 2, "?"),
        case(to!("out.mp4 --contact-sheet sheet.mp4"), 2, "?"),
        case(to!("out.png --frames 1 --contact-sheet out.png"), 2, "?"),
        with(
            |place| place.write("out.json", "{}"),
            to!("out.mp4 --json"),
            2,
            "?",
        ),
    ]
}

#[test]
fn outputs_that_cannot_be_written_are_told_exactly() {
    check(&cases());
}

#[test]
fn a_full_disk_behind_stdout_is_told() {
    let place = Place::new();
    let mut command = place.command(&["inspect", "--model"]);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    command.arg(crate::program::repository("assets/demo"));
    let ran = place.ran(command.stdout(full).output().expect("the program runs"));
    assert_eq!(
        ran.stderr,
        "ERROR cannot write stdout: No space left on device (os error 28)\n"
    );
    assert_eq!(ran.code, Some(200));
}
