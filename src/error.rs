//! The engine's one error type.
//!
//! Everything a user can cause is an [`Error`] whose message says what is wrong, where, what was
//! expected and what was found, and then the remedy where there is one. Messages are lower case,
//! without a full stop at the end. Causes are reached through [`std::error::Error::source`] and
//! are never repeated in the text.

use std::path::{Path, PathBuf};

/// Result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file or directory.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as it reads after "cannot": `open`, `create`, `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The content of a file is not what it must be.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        what: String,
    },
    /// A request (flag, prompt, size, combination of components) cannot be carried out.
    #[error("{what}")]
    Request {
        /// What is wrong with it, and what would be accepted.
        what: String,
    },
    /// The tensors of a checkpoint do not fit the model; all of them are listed.
    #[error("{component}: {} not fit: {}", counted(problems.len()), problems.join("; "))]
    Weights {
        /// Which component: `transformer`, `vae`, `text_encoder`.
        component: String,
        /// One entry per tensor: name, what was expected, what the file has.
        problems: Vec<String>,
    },
    /// A backend, library or device cannot be used on this machine.
    #[error("{device}: {what}")]
    Unavailable {
        /// The device as the user writes it: `cuda:0`, `cpu`.
        device: String,
        /// What is missing, and how to get it.
        what: String,
    },
    /// A device or its library failed while working.
    #[error("{device}: {what}")]
    Device {
        /// The device as the user writes it.
        device: String,
        /// What failed, at which place of the model.
        what: String,
    },
    /// A value that must be finite is not.
    #[error("{what}")]
    NonFinite {
        /// Which tensor at which step, computed in which dtype, and the remedy.
        what: String,
    },
    /// Not enough memory or disk for what was asked.
    #[error("{what}")]
    Exhausted {
        /// What is needed, what is there, and the remedy.
        what: String,
    },
    /// A download failed.
    #[error("{what}")]
    Network {
        /// What was fetched from where, and the remedy.
        what: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

fn counted(n: usize) -> String {
    if n == 1 {
        "1 tensor does".into()
    } else {
        format!("{n} tensors do")
    }
}

impl Error {
    /// A [`Error::Request`] from its message.
    pub fn request(what: impl Into<String>) -> Self {
        Self::Request { what: what.into() }
    }

    /// A [`Error::File`] from a path and a message.
    pub fn file(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_owned(),
            what: what.into(),
        }
    }

    /// A [`Error::Io`] for `map_err`: `File::open(p).map_err(Error::io("open", p))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// The process exit code that a program should end with: 2 for a wrong request or file,
    /// 130 when cancelled, 200 for what may pass by itself (disk, memory, network), 201 for a
    /// device fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => 200,
                _ => 2,
            },
            Self::File { .. }
            | Self::Request { .. }
            | Self::Weights { .. }
            | Self::Unavailable { .. } => 2,
            Self::NonFinite { .. } => 1,
            Self::Exhausted { .. } | Self::Network { .. } => 200,
            Self::Device { .. } => 201,
            Self::Cancelled => 130,
        }
    }
}
