//! Messages on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::{Global, LogFormat};
use crate::Error;

/// Starts logging; `RUST_LOG` goes over the flags.
pub(super) fn start(global: &Global) {
    // What libraries log is for whoever looks: what of it matters to a user comes back as an error.
    let level = match (global.quiet, global.verbose) {
        (true, _) => "ascendit=warn",
        (false, 0) => "ascendit=info",
        (false, 1) => "warn,ascendit=debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match global.log_format {
        LogFormat::Json => builder.json().with_span_events(FmtSpan::CLOSE).init(),
        LogFormat::Text => {
            let builder = builder
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            if global.verbose > 0 {
                builder.init()
            } else {
                builder.without_time().init()
            }
        }
    }
}

/// Logs an error.
pub(super) fn report(error: &Error) {
    tracing::error!("{}", chain(error));
}

/// The error and its causes on one line.
pub(super) fn chain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
