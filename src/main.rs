//! The `ascendit` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ascendit::cli::main()
}
