//! The name of a repository on a hub, told from a path.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A model repository on a hub at a revision, written `owner/name` or `owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoId {
    /// The user or organisation.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// A branch, a tag or a commit; the default branch where `None`.
    pub revision: Option<String>,
}

/// What a user means by the name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Something on this machine.
    Path(PathBuf),
    /// A repository on a hub.
    Repo(RepoId),
}

impl Location {
    /// A path if something is there, else a repository.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] when nothing is there and it cannot name a repository.
    pub fn parse(text: &str) -> Result<Self> {
        if Path::new(text).exists() {
            return Ok(Self::Path(text.into()));
        }
        RepoId::parse(text).map(Self::Repo).map_err(|_| {
            Error::request(format!(
                "{text}: no such file or directory, and not a hub repository (owner/name or \
                 owner/name@revision) either"
            ))
        })
    }
}

impl RepoId {
    /// Reads `owner/name` or `owner/name@revision`, without looking at the file system.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let (path, revision) = match text.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (text, None),
        };
        // Both parts and the revision become parts of paths in the cache.
        path.split_once('/')
            .filter(|(owner, name)| is_name(owner) && is_name(name))
            .filter(|_| revision.is_none_or(|revision| revision.split('/').all(is_name)))
            .map(|(owner, name)| Self {
                owner: owner.into(),
                name: name.into(),
                revision: revision.map(str::to_owned),
            })
            .ok_or_else(|| {
                Error::request(format!(
                    "{text:?} is not a hub repository: write owner/name or owner/name@revision"
                ))
            })
    }

    /// The id without the revision: `owner/name`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The revision asked for; the default branch is `main` on every hub.
    pub(super) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

fn is_name(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
        && part.bytes().all(allowed)
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written_alike() {
        for text in [
            "acme/film",
            "acme/film-v1.3_x@main",
            "a/b@refs/pr/1",
            "a/b@0123abc",
        ] {
            assert_eq!(RepoId::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            RepoId::parse("a/b@v1").unwrap().revision.as_deref(),
            Some("v1")
        );
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for text in [
            "",
            "film",
            "a/b/c",
            "/a/b",
            "./a/b",
            "../b",
            "a/..",
            "a/b@",
            "a/b@../../x",
            "a/b@/x",
            "a b/c",
            "~/b",
            "a/b\n",
        ] {
            assert_eq!(
                RepoId::parse(text).unwrap_err().to_string(),
                format!(
                    "{text:?} is not a hub repository: write owner/name or owner/name@revision"
                )
            );
        }
    }

    #[test]
    fn a_path_that_exists_wins() {
        assert_eq!(
            Location::parse("src/checkpoint").unwrap(),
            Location::Path("src/checkpoint".into())
        );
        assert_eq!(
            Location::parse("src/nowhere").unwrap(),
            Location::Repo(RepoId::parse("src/nowhere").unwrap())
        );
        assert_eq!(
            Location::parse("./nowhere").unwrap_err().to_string(),
            "./nowhere: no such file or directory, and not a hub repository (owner/name or \
             owner/name@revision) either"
        );
    }
}
