//! What a user can get wrong, with the exact message and exit code of each.

mod checkpoints;
mod commands;
mod configs;
mod flags;
mod outputs;
#[path = "../program/mod.rs"]
mod program;
mod weights;

use program::Place;

/// One mistake.
struct Case {
    /// Prepares the directory in which the program runs.
    setup: Box<dyn Fn(&Place)>,
    /// A leading `+` stands for [`GENERATE`].
    args: String,
    code: i32,
    stderr: &'static str,
}

/// A generation that would work.
const GENERATE: &str = "generate seven -o out.mp4 --device reference --quiet";

/// A mistake that needs no files.
fn case(args: &str, code: i32, stderr: &'static str) -> Case {
    with(|_| {}, args, code, stderr)
}

/// A mistake in files.
fn with(setup: impl Fn(&Place) + 'static, args: &str, code: i32, stderr: &'static str) -> Case {
    Case {
        setup: Box::new(setup),
        args: args.to_owned(),
        code,
        stderr,
    }
}

/// Runs all cases and fails with those that differ. Nothing may be left behind, and nothing goes to
/// stdout.
fn check(cases: &[Case]) {
    let mut failures = vec![];
    for case in cases {
        let place = Place::new();
        (case.setup)(&place);
        let before = place.files();
        let ran = place.run(&case.args.replace('+', GENERATE));
        let left: Vec<String> = place.files().difference(&before).cloned().collect();
        let same = ran.stderr.trim_end() == case.stderr.trim_end();
        if !same || ran.code != Some(case.code) || !left.is_empty() || !ran.stdout.is_empty() {
            failures.push(format!(
                "args: {}\nexpected {}:\n{}\ngot {:?}:\n{}\nstdout: {:?}\nleft behind: {left:?}\n",
                case.args,
                case.code,
                case.stderr.trim_end(),
                ran.code,
                ran.stderr.trim_end(),
                ran.stdout
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} messages differ\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn there_are_enough_cases() {
    let all = [
        flags::cases().len(),
        outputs::cases().len(),
        checkpoints::cases().len(),
        configs::cases().len(),
        weights::cases().len(),
        commands::cases().len(),
    ];
    assert!(all.iter().sum::<usize>() >= 60, "{all:?}");
}
