//! `placement`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&placement::flags::flags()) {
        Ok(flags) => placement::main(&flags),
        Err(code) => code,
    }
}
