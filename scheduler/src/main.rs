//! `scheduler`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&scheduler::flags::flags()) {
        Ok(flags) => scheduler::main(&flags),
        Err(code) => code,
    }
}
