//! Asking before something is replaced.

use std::collections::HashSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use crate::media::{check_file, check_image, check_output};
use crate::{Error, Result};

/// A file that is going to be written.
#[derive(Clone, Copy)]
pub(super) enum Output<'a> {
    /// A video, an image or a folder of frames.
    Video(&'a Path),
    /// A contact sheet.
    Image(&'a Path),
    /// Settings.
    Json(&'a Path),
}

impl<'a> Output<'a> {
    fn path(self) -> &'a Path {
        match self {
            Self::Video(path) | Self::Image(path) | Self::Json(path) => path,
        }
    }

    fn check(self, overwrite: bool) -> Result<()> {
        match self {
            Self::Video(path) => check_output(path, overwrite),
            Self::Image(path) => check_image(path, overwrite),
            Self::Json(path) => check_file(path, overwrite),
        }
    }
}

/// Checks that outputs can be written, and returns whether existing ones are to be replaced: as
/// `overwrite` says, or as the user answers where a terminal is there to ask on.
///
/// # Errors
/// Those of [`check_output`] for the first output that has one, and if two outputs are one file.
pub(super) fn may_write(outputs: &[Output<'_>], overwrite: bool) -> Result<bool> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let mut stdin = std::io::stdin().lock();
    let asked: Option<(&mut dyn BufRead, &mut dyn Write)> = match terminal {
        true => Some((&mut stdin, &mut std::io::stderr())),
        false => None,
    };
    decide(outputs, overwrite, asked)
}

fn decide(
    outputs: &[Output<'_>],
    overwrite: bool,
    asked: Option<(&mut dyn BufRead, &mut dyn Write)>,
) -> Result<bool> {
    let mut refused = None;
    let mut in_the_way = vec![];
    let mut seen = HashSet::new();
    for output in outputs {
        let path = output.path().display();
        if !seen.insert(output.path()) {
            return Err(Error::request(format!(
                "{path} would be written twice; give every output its own name"
            )));
        }
        let Err(error) = output.check(overwrite) else {
            continue;
        };
        // If overwriting does not help, something else is wrong.
        if overwrite || output.check(true).is_err() {
            return Err(error);
        }
        in_the_way.push(path.to_string());
        refused = refused.or(Some(error));
    }
    let Some(refused) = refused else {
        return Ok(overwrite);
    };
    let Some((input, output)) = asked else {
        return Err(refused);
    };
    let question = match in_the_way.as_slice() {
        [one] => format!("{one} exists; replace it? [y/N] "),
        all => format!(
            "{} files exist ({}); replace them? [y/N] ",
            all.len(),
            all.join(", ")
        ),
    };
    let mut answer = String::new();
    write!(output, "{question}")
        .and_then(|()| output.flush())
        .and_then(|()| input.read_line(&mut answer))
        .map_err(Error::io("ask on", "the terminal"))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        _ => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(outputs: &[Output<'_>], answer: &str) -> (Result<bool>, String) {
        let mut said = vec![];
        let result = decide(outputs, false, Some((&mut answer.as_bytes(), &mut said)));
        (result, String::from_utf8(said).unwrap())
    }

    #[test]
    fn a_yes_replaces_and_anything_else_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.mp4"), dir.path().join("b.png"));
        std::fs::write(&a, "").unwrap();
        let both = [Output::Video(&a), Output::Image(&b)];
        let refusal = format!("{} exists; pass --overwrite to replace it", a.display());

        let (result, said) = ask(&both, "y\n");
        assert!(result.unwrap());
        assert_eq!(said, format!("{} exists; replace it? [y/N] ", a.display()));
        for answer in ["\n", "n\n", "", "yy\n"] {
            let (result, _) = ask(&both, answer);
            assert_eq!(result.unwrap_err().to_string(), refusal, "{answer:?}");
        }

        std::fs::write(&b, "").unwrap();
        let (result, said) = ask(&both, "YES\n");
        assert!(result.unwrap());
        assert_eq!(
            said,
            format!(
                "2 files exist ({}, {}); replace them? [y/N] ",
                a.display(),
                b.display()
            )
        );
        let error = decide(&both, false, None).unwrap_err();
        assert_eq!(error.to_string(), refusal);
        assert!(decide(&both, true, None).unwrap());
    }

    #[test]
    fn nothing_is_asked_where_nothing_is_in_the_way_or_a_yes_would_not_help() {
        let dir = tempfile::tempdir().unwrap();
        let (result, said) = ask(&[Output::Video(&dir.path().join("new.mp4"))], "y\n");
        assert!(!result.unwrap());
        assert_eq!(said, "");
        let (result, said) = ask(&[Output::Json(&dir.path().join("no/such/x.json"))], "y\n");
        assert!(result.is_err());
        assert_eq!(said, "");
    }

    #[test]
    fn one_file_is_not_written_twice() {
        let outputs = [
            Output::Video(Path::new("a.png")),
            Output::Image(Path::new("a.png")),
        ];
        assert_eq!(
            decide(&outputs, true, None).unwrap_err().to_string(),
            "a.png would be written twice; give every output its own name"
        );
    }
}
