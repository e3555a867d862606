//! Whether the tensors of a file are those that a model wants.

use std::collections::HashSet;

use super::Weights;
use crate::tensor::describe;
use crate::{Error, Result};

impl Weights {
    /// Compares the tensors with those that a model wants, and gives back the names of those that
    /// it does not want, sorted, for one warning.
    ///
    /// `component` is what the error calls the model: `transformer`. `expected` are names and
    /// shapes. `unused` are patterns of names that are known and rightly unused (`decoder.*`; a
    /// `*` is any text); they are not given back.
    ///
    /// # Errors
    /// One [`Error::Weights`] with every tensor that is missing, of another shape, or of an
    /// element type that is not supported; with `strict`, with every unexpected one as well.
    pub fn check<'a>(
        &self,
        component: &str,
        expected: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        unused: &[&str],
        strict: bool,
    ) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let mut known = HashSet::new();
        for (name, shape) in expected {
            known.insert(name);
            if let Some(problem) = self.problem_with(name, shape) {
                problems.push(format!("{name}: {problem}"));
            }
        }
        let unexpected: Vec<&str> = self
            .names()
            .filter(|name| !known.contains(name))
            .filter(|name| !unused.iter().any(|pattern| fits(pattern, name)))
            .collect();
        if strict {
            let message = |name| format!("{name}: unexpected");
            problems.extend(unexpected.iter().map(message));
        }
        if problems.is_empty() {
            return Ok(unexpected.into_iter().map(str::to_owned).collect());
        }
        Err(Error::Weights {
            component: component.to_owned(),
            problems,
        })
    }

    fn problem_with(&self, name: &str, shape: &[usize]) -> Option<String> {
        if let Some(entry) = self.get(name) {
            return (entry.shape != shape).then(|| {
                let file = self.file_path(entry.file);
                let file = file.file_name().unwrap_or(file.as_os_str());
                format!(
                    "expected {shape:?}, file has {} ({})",
                    describe(entry.dtype, &entry.shape),
                    file.display()
                )
            });
        }
        Some(match self.unsupported().get(name) {
            Some(tensor) => tensor.problem(),
            None => "missing".into(),
        })
    }
}

/// Whether `name` is `pattern` with some text in place of each `*`.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_prefix(start).and_then(|n| n.strip_suffix(end)) else {
        return false;
    };
    for part in middle.split('*') {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    true
}
