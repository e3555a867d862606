//! The hub cache on disk, in the layout that all hub clients share:
//!
//! ```text
//! models--acme--film/
//!   blobs/<name>                    contents: the SHA-256 of large files, git's id of small ones
//!   blobs/<git id>.incomplete       contents that are still arriving
//!   snapshots/<commit>/<path>       links to blobs
//!   refs/<revision>                 the commit that a revision was last seen at
//! .locks/models--acme--film/<git id>.lock
//! ```

use std::fs::{File, TryLockError};
use std::path::{Component, Path, PathBuf};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::RepoId;
use crate::{Error, Result};

/// A file of a repository, as the hub lists it.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub(super) path: String,
    pub(super) size: u64,
    /// Git's object id: of the content, or of the pointer to it for a file in large file storage.
    pub(super) oid: String,
    pub(super) large: bool,
}

impl RemoteFile {
    /// Whether path and id can be used as paths in the cache: a hub is not trusted with that.
    pub(super) fn is_safe(&self) -> bool {
        let plain = |part| matches!(part, Component::Normal(_));
        !self.path.is_empty()
            && Path::new(&self.path).components().all(plain)
            && !self.path.contains('\\')
            && is_hex(&self.oid)
    }
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The cached part of one repository.
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    pub(super) fn new(cache_dir: &Path, repo: &RepoId) -> Self {
        let folder = format!("models--{}--{}", repo.owner, repo.name);
        Self {
            root: cache_dir.join(&folder),
            locks: cache_dir.join(".locks").join(folder),
        }
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Where a file's content is while it arrives.
    pub(super) fn partial(&self, file: &RemoteFile) -> PathBuf {
        self.blobs().join(format!("{}.incomplete", file.oid))
    }

    /// The content of a file, if it is there, under whichever commit it was fetched.
    pub(super) fn blob(&self, file: &RemoteFile) -> Option<PathBuf> {
        let has_size = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() == file.size);
        if !file.large {
            return Some(self.blobs().join(&file.oid)).filter(|path| has_size(path));
        }
        // Large files are named by their SHA-256, which the listing lacks; but their pointers
        // follow from it, and the listing has the pointers' ids.
        let entries = std::fs::read_dir(self.blobs()).ok()?;
        entries.flatten().map(|entry| entry.path()).find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| {
                name.len() == 64 && has_size(path) && pointer_oid(name, file.size) == file.oid
            })
        })
    }

    /// Makes the folder for blobs and takes the lock on a file's content; `None` while another
    /// process has it. The lock is let go when the value is dropped.
    pub(super) fn try_lock(&self, file: &RemoteFile) -> Result<Option<File>> {
        for dir in [&self.blobs(), &self.locks] {
            std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        }
        let path = self.locks.join(format!("{}.lock", file.oid));
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                // Some network file systems cannot lock. Two downloads at once are rare, and the
                // check of the content catches them.
                tracing::debug!(path = %path.display(), %error, "no lock");
                Ok(Some(lock))
            }
        }
    }

    /// Gives complete content its name among the blobs.
    pub(super) fn keep(&self, file: &RemoteFile, blob: &str) -> Result<()> {
        let path = self.blobs().join(blob);
        std::fs::rename(self.partial(file), &path).map_err(Error::io("create", &path))
    }

    /// Makes the snapshot of a commit, with links to the blobs of all files, and returns its
    /// folder. The revision points to it from then on.
    pub(super) fn publish(
        &self,
        commit: &str,
        revision: &str,
        files: &[RemoteFile],
    ) -> Result<PathBuf> {
        let snapshot = self.snapshot(commit);
        for file in files {
            let link = snapshot.join(&file.path);
            let blob = self.blob(file).ok_or_else(|| {
                Error::file(&link, "its content vanished from the cache; run again")
            })?;
            if link.canonicalize().ok() == blob.canonicalize().ok() {
                continue;
            }
            let dir = link.parent().unwrap_or(&snapshot);
            std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
            // Relative, so that the cache can be moved: up to models--*, then down to the blob.
            let depth = Path::new(&file.path).components().count() + 1;
            let mut target: PathBuf = std::iter::repeat_n("..", depth).collect();
            target.push("blobs");
            target.push(blob.file_name().unwrap_or_default());
            // Renamed into place: another process may be making the same snapshot.
            let made = tempfile::Builder::new()
                .prefix(".link-")
                .make_in(dir, |path| std::os::unix::fs::symlink(&target, path))
                .map_err(Error::io("create", &link))?;
            made.into_temp_path()
                .persist(&link)
                .map_err(|e| Error::io("create", &link)(e.error))?;
        }
        if revision != commit {
            let path = self.reference(revision);
            let dir = path.parent().unwrap_or(&self.root);
            std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
            std::fs::write(&path, commit).map_err(Error::io("write", &path))?;
        }
        Ok(snapshot)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.root.join("refs").join(revision)
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The commit and folder of a revision's snapshot, if one is there.
    pub(super) fn cached(&self, revision: &str) -> Option<(String, PathBuf)> {
        let commit = std::fs::read_to_string(self.reference(revision))
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| revision.to_owned());
        let dir = self.snapshot(&commit);
        (is_hex(&commit) && dir.is_dir()).then_some((commit, dir))
    }

    /// The files of a snapshot that are whole, by their paths in the repository.
    pub(super) fn files(snapshot: &Path) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(snapshot.join(&folder)).into_iter();
            for entry in entries.flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let path = format!("{folder}{name}");
                // Follows links: one that leads nowhere is no file.
                match std::fs::metadata(entry.path()) {
                    Ok(meta) if meta.is_dir() => folders.push(format!("{path}/")),
                    Ok(_) => files.push(path),
                    Err(_) => {}
                }
            }
        }
        files.sort();
        files
    }
}

/// Checks content as it arrives against what the hub lists.
pub(super) enum Content {
    /// Git's id is that of the content itself.
    Small(Sha1),
    /// Git's id is that of a pointer, which has the content's SHA-256.
    Large(Sha256),
}

impl Content {
    pub(super) fn new(file: &RemoteFile) -> Self {
        if file.large {
            Self::Large(Sha256::new())
        } else {
            Self::Small(Sha1::new_with_prefix(format!("blob {}\0", file.size)))
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Small(hasher) => hasher.update(bytes),
            Self::Large(hasher) => hasher.update(bytes),
        }
    }

    /// The name of the blob, if the content is what the hub lists.
    pub(super) fn blob(self, file: &RemoteFile) -> Option<String> {
        match self {
            Self::Small(hasher) => Some(hex(&hasher.finalize())).filter(|id| *id == file.oid),
            Self::Large(hasher) => Some(hex(&hasher.finalize()))
                .filter(|sha256| pointer_oid(sha256, file.size) == file.oid),
        }
    }
}

/// Git's id of the file that points to content in large file storage (the Git LFS specification,
/// "The Pointer").
fn pointer_oid(sha256: &str, size: u64) -> String {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
    hex(&Sha1::digest(format!("blob {}\0{pointer}", pointer.len())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, oid: &str) -> RemoteFile {
        RemoteFile {
            path: path.into(),
            size: 6,
            oid: oid.into(),
            large: false,
        }
    }

    #[test]
    fn ids_are_gits() {
        // printf 'hello\n' | git hash-object --stdin
        let small = file("a", "ce013625030ba8dba906f756967f9e9ca394464a");
        let mut content = Content::new(&small);
        content.update(b"hel");
        content.update(b"lo\n");
        assert_eq!(content.blob(&small).as_deref(), Some(small.oid.as_str()));

        // The pointer to the same content, through the same command.
        let large = RemoteFile {
            oid: "fa61e1ef71c9908c0926776a4aa3504b3a27f159".into(),
            large: true,
            ..small
        };
        let mut content = Content::new(&large);
        content.update(b"hello\n");
        assert_eq!(
            content.blob(&large).as_deref(),
            Some("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
        );
        let mut content = Content::new(&large);
        content.update(b"Hello\n");
        assert_eq!(content.blob(&large), None);
    }

    #[test]
    fn names_that_lead_out_of_the_cache_are_not_safe() {
        assert!(file("vae/config.json", "0a").is_safe());
        for path in ["", "/etc/passwd", "../x", "a/../../x", "./x", "a\\..\\x"] {
            assert!(!file(path, "0a").is_safe(), "{path}");
        }
        for oid in ["", "../x", "0a/b"] {
            assert!(!file("x", oid).is_safe(), "{oid}");
        }
    }
}
