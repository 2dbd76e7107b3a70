//! The `dapr` binary: everything is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os())
}
