//! `sentry`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&sentry::flags::flags()) {
        Ok(flags) => sentry::main(&flags),
        Err(code) => code,
    }
}
