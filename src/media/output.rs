//! Output files that appear whole or not at all.
//!
//! Everything is written to a hidden temporary file or folder in the same folder as the output
//! (so that a rename is enough), flushed to the disk, and then renamed. Whatever is dropped before
//! that removes its temporary files. It does not survive a killed process: a `.ascendit-*.tmp`
//! may stay behind, a half-written output never does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use super::format::{Format, FrameNames, parent_folder};
use crate::{Error, Result};

/// Checks before any work that an output can be written: its format is known, its folder exists
/// and takes files, and nothing is in the way, unless `overwrite`.
///
/// # Errors
/// [`Error::Request`] when the name, folder or an existing file is wrong, [`Error::Io`] when the
/// folder cannot be written to.
pub fn check_output(path: &Path, overwrite: bool) -> Result<()> {
    if Format::from_path(path)? == Format::Frames {
        PendingFrames::create(path, overwrite).map(drop)
    } else {
        PendingFile::create(path, overwrite).map(drop)
    }
}

/// As [`check_output`] for a file of any kind: its name does not tell a format.
///
/// # Errors
/// As [`check_output`].
pub fn check_file(path: &Path, overwrite: bool) -> Result<()> {
    PendingFile::create(path, overwrite).map(drop)
}

/// Writes indented JSON to a file, whole or not at all.
///
/// # Errors
/// [`Error::Request`] when the file exists and is not to be replaced or its folder does not
/// exist, [`Error::Io`] when writing fails.
pub fn write_json_atomic(path: &Path, value: &Value, overwrite: bool) -> Result<()> {
    write_atomic(path, &format!("{value:#}\n"), overwrite)
}

/// Writes a text to a file, whole or not at all.
///
/// # Errors
/// As [`write_json_atomic`].
pub fn write_atomic(path: &Path, text: &str, overwrite: bool) -> Result<()> {
    let pending = PendingFile::create(path, overwrite)?;
    pending
        .temp
        .as_file()
        .write_all(text.as_bytes())
        .map_err(Error::io("write", path))?;
    pending.commit()
}

/// A file that is being written and has no name yet.
#[derive(Debug)]
pub(super) struct PendingFile {
    temp: NamedTempFile,
    path: PathBuf,
    overwrite: bool,
}

impl PendingFile {
    /// Begins a file, after checking that it may have its name.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self> {
        let folder = parent_folder(path);
        require_folder(path, &folder)?;
        if path.is_dir() {
            return Err(Error::request(format!(
                "{} is a folder; give the name of a file",
                path.display()
            )));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let temp = hidden(0o666)
            .tempfile_in(&folder)
            .map_err(|e| Error::io("create a file in", &folder)(without_path(e)))?;
        Ok(Self {
            temp,
            path: path.to_owned(),
            overwrite,
        })
    }

    /// Another handle to the file, for the encoder that fills it.
    pub(super) fn handle(&self) -> Result<File> {
        self.temp
            .as_file()
            .try_clone()
            .map_err(Error::io("open", &self.path))
    }

    /// Gives the file its name.
    pub(super) fn commit(self) -> Result<()> {
        let Self {
            temp,
            path,
            overwrite,
        } = self;
        temp.as_file()
            .sync_all()
            .map_err(Error::io("write", &path))?;
        let persisted = if overwrite {
            temp.persist(&path)
        } else {
            temp.persist_noclobber(&path)
        };
        match persisted {
            Ok(_) => {
                sync_folder(&parent_folder(&path));
                Ok(())
            }
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&path))
            }
            Err(failed) => Err(Error::io("create", &path)(failed.error)),
        }
    }
}

/// A folder of frames that is being written.
#[derive(Debug)]
pub(super) struct PendingFrames {
    stage: TempDir,
    names: FrameNames,
    overwrite: bool,
}

impl PendingFrames {
    /// Begins a folder of frames. The folder may exist; other files in it are left alone, and
    /// frames of the same names are in the way unless `overwrite`.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self> {
        let names = FrameNames::new(path)?;
        let folder = &names.folder;
        let home = if folder.is_dir() {
            folder.clone()
        } else if is_there(folder) {
            return Err(Error::request(format!(
                "{} is a file, not a folder",
                folder.display()
            )));
        } else {
            let home = parent_folder(folder);
            require_folder(path, &home)?;
            home
        };
        if !overwrite && let Some(old) = old_frames(&names)?.first() {
            return Err(exists(old));
        }
        let stage = hidden(0o777)
            .tempdir_in(&home)
            .map_err(|e| Error::io("create a folder in", &home)(without_path(e)))?;
        Ok(Self {
            stage,
            names,
            overwrite,
        })
    }

    /// Where the frames are to be written for now.
    pub(super) fn stage(&self) -> &Path {
        self.stage.path()
    }

    /// How the frames are named.
    pub(super) fn names(&self) -> &FrameNames {
        &self.names
    }

    /// Gives the frames their place: a new folder by one rename, an existing folder frame by
    /// frame after the old frames are gone.
    pub(super) fn commit(self, count: usize) -> Result<()> {
        let folder = &self.names.folder;
        if !folder.is_dir() {
            fs::rename(self.stage.path(), folder).map_err(Error::io("create", folder))?;
            // The stage no longer exists under its own name, so there is nothing to remove.
            let _ = self.stage.keep();
            sync_folder(&parent_folder(folder));
            return Ok(());
        }
        let old = old_frames(&self.names)?;
        if let (false, Some(frame)) = (self.overwrite, old.first()) {
            return Err(exists(frame));
        }
        for frame in old {
            fs::remove_file(&frame).map_err(Error::io("replace", &frame))?;
        }
        for index in 0..count {
            let name = self.names.name(index);
            let frame = folder.join(&name);
            if let Err(error) = fs::rename(self.stage.path().join(&name), &frame) {
                for earlier in 0..index {
                    let _ = fs::remove_file(folder.join(self.names.name(earlier)));
                }
                return Err(Error::io("create", &frame)(error));
            }
        }
        sync_folder(folder);
        Ok(())
    }
}

/// Whether something has this name; a slash at its end does not make a file a folder.
fn is_there(path: &Path) -> bool {
    let bare: PathBuf = path.components().collect();
    bare.symlink_metadata().is_ok()
}

/// Files of the folder that are named as the frames are, in order of name.
fn old_frames(names: &FrameNames) -> Result<Vec<PathBuf>> {
    let folder = &names.folder;
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if entry.file_name().to_str().is_some_and(|n| names.matches(n)) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn exists(path: &Path) -> Error {
    Error::request(format!(
        "{} exists; pass --overwrite to replace it",
        path.display()
    ))
}

fn require_folder(path: &Path, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if folder.exists() {
        return Err(Error::request(format!(
            "cannot write {}: {} is a file, not a folder",
            path.display(),
            folder.display()
        )));
    }
    Err(Error::request(format!(
        "cannot write {}: the folder {} does not exist; create it first",
        path.display(),
        folder.display()
    )))
}

/// The system's reason without the temporary name, which says nothing to the user. `tempfile` keeps
/// the code in the text only.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let code = text
        .split_once("(os error ")
        .and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
    code.map_or(error, io::Error::from_raw_os_error)
}

/// Makes temporary files and folders that get ordinary permissions (`mode` less the umask).
fn hidden(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ascendit-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Asks for the rename to reach the disk. Not every file system can do that for a folder, and
/// the output is whole either way, so failing is no error.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|f| f.sync_all());
}
