//! What to tell the user when a hub does not give what was asked for.

use std::time::Duration;

use hf_hub::HFError;

use super::RepoId;
use crate::Error;

/// What a message needs besides the failure.
#[derive(Clone, Copy)]
pub(super) struct Failure<'a> {
    pub(super) repo: &'a RepoId,
    pub(super) endpoint: &'a str,
}

const MIRROR: &str = "check the network and HTTPS_PROXY, or set HF_ENDPOINT to a mirror";

impl Failure<'_> {
    /// An [`Error::Network`] that names the repository and the hub.
    pub(super) fn because(self, reason: &str, remedy: &str) -> Error {
        Error::Network {
            what: format!(
                "cannot download {} from {}: {reason}; {remedy}",
                self.repo, self.endpoint
            ),
        }
    }

    /// The hub said nothing for a while.
    pub(super) fn stalled(self, limit: Duration) -> Error {
        self.because(&stalled(limit), MIRROR)
    }

    /// A file stopped arriving, again and again.
    pub(super) fn cut(self, path: &str, reason: &str) -> Error {
        self.because(
            &format!("{path} stopped arriving ({reason})"),
            "run again to go on from there, or set HF_ENDPOINT to a mirror",
        )
    }

    /// A failure that the `hf-hub` crate reports.
    pub(super) fn from(self, error: &HFError) -> Error {
        if let Some(answer) = Answer::of(error) {
            return self.refused(&answer);
        }
        match error {
            HFError::Request { source, .. } if source.is_connect() => {
                self.because(&format!("no connection ({})", root(error)), MIRROR)
            }
            HFError::Request { source, .. } if source.is_decode() => self.not_a_hub(&root(error)),
            HFError::Json(_) | HFError::MalformedResponse { .. } => self.not_a_hub(&root(error)),
            _ => self.because(&root(error), MIRROR),
        }
    }

    /// What answers is something else than a hub: a login page, a wrong address.
    pub(super) fn not_a_hub(self, reason: &str) -> Error {
        self.because(
            &format!("its answer is not that of a hub ({reason})"),
            "check HF_ENDPOINT, and whether the network wants a login",
        )
    }

    fn refused(self, answer: &Answer<'_>) -> Error {
        let http = answer.text();
        match (answer.status, answer.code) {
            (_, "GatedRepo") => self.because(
                &format!("access must be asked for ({http})"),
                &format!(
                    "accept its terms at {}/{} and set HF_TOKEN to a token of the same account",
                    self.endpoint,
                    self.repo.path()
                ),
            ),
            (404, "RevisionNotFound") => self.because(
                &format!("it has no revision {} ({http})", self.repo.revision()),
                "name a branch, tag or commit that it has",
            ),
            // Hubs answer 401 for what does not exist too, to keep private names private.
            (401, _) => self.because(
                &format!("it does not exist, or not for everyone ({http})"),
                "check the name; for a private or gated repository set HF_TOKEN to a token that \
                 may read it",
            ),
            (403, _) => self.because(
                &format!("access is refused ({http})"),
                "set HF_TOKEN to a token that may read it",
            ),
            (404, _) => self.because(
                &format!("it does not exist ({http})"),
                "check the name (there is no local path of that name either) and that HF_ENDPOINT \
                 has it",
            ),
            (429, _) => self.because(
                &format!("too many requests ({http})"),
                "wait a while and run again to go on, or set HF_TOKEN for a higher limit",
            ),
            _ => self.because(
                &format!("the hub failed ({http})"),
                "run again later, or set HF_ENDPOINT to a mirror",
            ),
        }
    }
}

/// How a stall is called.
pub(super) fn stalled(limit: Duration) -> String {
    format!("no answer for {} s", limit.as_secs_f32())
}

/// The HTTP status of a failure, if it has one.
pub(super) fn status(error: &HFError) -> Option<u16> {
    Answer::of(error).map(|answer| answer.status)
}

/// An answer of the hub that is not a success.
struct Answer<'a> {
    status: u16,
    /// The hub's own name for what is wrong.
    code: &'a str,
    message: &'a str,
}

impl<'a> Answer<'a> {
    fn of(error: &'a HFError) -> Option<Self> {
        let context = match error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RateLimited { context, .. } => context,
            HFError::RepoNotFound { context, .. }
            | HFError::RevisionNotFound { context, .. }
            | HFError::EntryNotFound { context, .. } => context.as_ref()?,
            _ => return None,
        };
        Some(Self {
            status: context.status.as_u16(),
            code: context.error_code.as_deref().unwrap_or(""),
            message: context.server_message.as_deref().unwrap_or("").trim(),
        })
    }

    fn text(&self) -> String {
        if self.message.is_empty() {
            format!("HTTP {}", self.status)
        } else {
            format!("HTTP {}: {}", self.status, self.message)
        }
    }
}

/// The innermost cause.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
