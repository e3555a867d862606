//! Files that cannot be written.

use std::fs;

use super::{Case, case, check, with};
use crate::program::Place;

/// A generation to another output.
fn to(output_and_flags: &str) -> String {
    format!("generate seven --device reference --quiet -o {output_and_flags}")
}

fn there(place: &Place) {
    place.write("out.mp4", "mine");
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            &to("out.avi"),
            2,
            "ERROR out.avi: unknown extension .avi; write to .mp4, .gif, .apng, .y4m or a folder of PNG frames (out/ or out/frame-%04d.png), or one frame to .png, .jpg, .jpeg or .webp",
        ),
        case(
            &to("out"),
            2,
            "ERROR out: no extension tells the format; write to .mp4, .gif, .apng, .y4m or a folder of PNG frames (out/ or out/frame-%04d.png), or one frame to .png, .jpg, .jpeg or .webp",
        ),
        case(
            &to("''"),
            2,
            "error: a value is required for '--output <FILE>' but none was supplied\n\nFor more information, try '--help'.",
        ),
        case(
            &to("nowhere/out.mp4"),
            2,
            "ERROR cannot write nowhere/out.mp4: the folder nowhere does not exist; create it first",
        ),
        case(
            &to("/proc/out.mp4"),
            2,
            "ERROR cannot create a file in /proc: No such file or directory (os error 2)",
        ),
        with(
            there,
            &to("out.mp4"),
            2,
            "ERROR out.mp4 exists; pass --overwrite to replace it",
        ),
        with(
            there,
            &to("out.mp4/"),
            2,
            "ERROR out.mp4/ is a file, not a folder",
        ),
        with(
            there,
            &to("out.mp4/x.mp4"),
            2,
            "ERROR cannot write out.mp4/x.mp4: out.mp4 is a file, not a folder",
        ),
        with(
            |place| fs::create_dir(place.path("out.mp4")).expect("a folder"),
            &to("out.mp4"),
            2,
            "ERROR out.mp4 is a folder; give the name of a file",
        ),
        with(
            |place| {
                std::os::unix::fs::symlink("nowhere", place.path("out.mp4")).expect("a link");
            },
            &to("out.mp4"),
            2,
            "ERROR out.mp4 exists; pass --overwrite to replace it",
        ),
        with(
            |place| place.write("out/frame-0003.png", "mine"),
            &to("out/frame-%04d.png"),
            2,
            "ERROR out/frame-0003.png exists; pass --overwrite to replace it",
        ),
        with(
            |place| place.write("out-2.mp4", "mine"),
            &to("out.mp4 --samples 3"),
            2,
            "ERROR out-2.mp4 exists; pass --overwrite to replace it",
        ),
        case(
            &to("out.png"),
            2,
            "ERROR out.png: the format holds one frame, not 17; write to out.mp4, out.apng or the folder out/",
        ),
        case(
            &to("out.gif --fps 60"),
            2,
            "ERROR out.gif: viewers slow down a GIF of 60 frames per second; use at most 50, or .mp4",
        ),
        case(
            &to("frame-%d-%d.png"),
            2,
            "ERROR frame-%d-%d.png: expected one frame number such as %04d in the name, as in frame-%04d.png",
        ),
        case(
            &to("out.mp4 --size 4096x64"),
            2,
            "ERROR out.mp4: frames of 64x4096 are too large for MP4, which holds at most 3840x2160 or 2160x3840; write to .y4m or a folder of PNG frames",
        ),
        case(
            &to("out.mp4 --contact-sheet sheet.mp4"),
            2,
            "ERROR sheet.mp4: write an image to .png, .jpg, .jpeg or .webp",
        ),
        case(
            &to("out.png --frames 1 --contact-sheet out.png"),
            2,
            "ERROR out.png would be written twice; give every output its own name",
        ),
        with(
            |place| place.write("out.json", "{}"),
            &to("out.mp4 --json"),
            2,
            "ERROR out.json exists; pass --overwrite to replace it",
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
