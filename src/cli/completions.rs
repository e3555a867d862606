//! `ascendit completions`.

use clap::{Args, CommandFactory};

use super::Cli;
use super::output::print;
use crate::Result;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell. Bash: `source <(ascendit completions bash)`.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Writes the script to stdout.
pub(super) fn run(args: &CompletionsArgs) -> Result<u8> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "ascendit", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}
