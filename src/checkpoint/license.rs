//! The licence that comes with a checkpoint.

use std::path::Path;

/// The licence of a directory, or of the one it is in: what the model card (`README.md`) states, or
/// the first line of a licence file, with the file's name. `None` where there is neither.
pub fn license_of(dir: &Path) -> Option<String> {
    let dir = std::fs::canonicalize(dir).ok()?;
    [Some(dir.as_path()), dir.parent()]
        .into_iter()
        .flatten()
        .find_map(license_in)
}

fn license_in(dir: &Path) -> Option<String> {
    let card = std::fs::read_to_string(dir.join("README.md")).unwrap_or_default();
    if let Some(license) = license(&card) {
        return Some(license);
    }
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            name.starts_with("license") || name.starts_with("licence")
        })
        .collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let text = std::fs::read_to_string(dir.join(&name)).ok()?;
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let line: String = line.chars().take(60).collect();
        Some(format!("{line} ({name})"))
    })
}

/// The licence in the YAML front matter of a model card (a repository's `README.md`), as it is
/// shown to the user: `apache-2.0`, or `other (acme-community)` where the card names its own.
/// `None` where it states none.
///
/// Only the two keys are read, not YAML at large.
pub(super) fn license(card: &str) -> Option<String> {
    let mut lines = card.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let front: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let id = value(&front, "license")?;
    match value(&front, "license_name").filter(|name| *name != id) {
        Some(name) => Some(format!("{id} ({name})")),
        None => Some(id),
    }
}

/// The value of a top-level key: a scalar, or a list, whose items are joined.
fn value(front: &[&str], key: &str) -> Option<String> {
    let (at, rest) = front.iter().enumerate().find_map(|(at, line)| {
        let rest = line.strip_prefix(key)?.strip_prefix(':')?;
        Some((at, rest.split(" #").next().unwrap_or("").trim()))
    })?;
    let items: Vec<&str> = if rest.is_empty() {
        front[at + 1..]
            .iter()
            .map_while(|line| line.trim_start().strip_prefix("- "))
            .collect()
    } else {
        match rest.strip_prefix('[').and_then(|r| r.strip_suffix(']')) {
            Some(list) => list.split(',').collect(),
            None => vec![rest],
        }
    };
    let plain: Vec<&str> = items
        .iter()
        .map(|item| item.trim().trim_matches(['"', '\'']))
        .filter(|item| !item.is_empty())
        .collect();
    (!plain.is_empty()).then(|| plain.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_read_from_the_front_matter() {
        let cases = [
            ("---\nlicense: apache-2.0\n---\n# Film", Some("apache-2.0")),
            (
                "---\r\ntags:\r\n- x\r\nlicense: \"mit\"\r\n---\r\n",
                Some("mit"),
            ),
            (
                "\u{feff}---\nlicense: 'cc-by-4.0' # see below\n---\n",
                Some("cc-by-4.0"),
            ),
            (
                "---\nlicense: other\nlicense_name: acme-community\nlicense_link: LICENSE\n---\n",
                Some("other (acme-community)"),
            ),
            (
                "---\nlicense:\n- mit\n- apache-2.0\nx: y\n---\n",
                Some("mit, apache-2.0"),
            ),
            (
                "---\nlicense: [mit, 'gpl-3.0']\n---\n",
                Some("mit, gpl-3.0"),
            ),
            ("---\nlicense:\nx: y\n---\n", None),
            ("---\nx: y\n---\nlicense: mit\n", None),
            ("license: mit\n", None),
            ("---\n  license: mit\n---\n", None),
            ("", None),
        ];
        for (card, expected) in cases {
            assert_eq!(license(card).as_deref(), expected, "{card:?}");
        }
    }

    #[test]
    fn a_component_has_the_licence_of_its_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let vae = dir.path().join("vae");
        std::fs::create_dir(&vae).unwrap();
        assert_eq!(license_in(dir.path()), None);
        std::fs::write(
            dir.path().join("LICENSE"),
            "\n   MIT License\n\nCopyright\n",
        )
        .unwrap();
        assert_eq!(license_of(&vae).as_deref(), Some("MIT License (LICENSE)"));
        std::fs::write(dir.path().join("README.md"), "---\nlicense: mit\n---\n").unwrap();
        assert_eq!(license_of(&vae).as_deref(), Some("mit"));
        std::fs::write(vae.join("LICENCE.txt"), "Other terms\n").unwrap();
        assert_eq!(
            license_of(&vae).as_deref(),
            Some("Other terms (LICENCE.txt)")
        );
    }
}
