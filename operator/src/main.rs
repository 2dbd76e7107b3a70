//! `operator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&operator::flags::flags()) {
        Ok(flags) => operator::main(&flags),
        Err(code) => code,
    }
}
