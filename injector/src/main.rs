//! `injector`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&injector::flags::flags()) {
        Ok(flags) => injector::main(&flags),
        Err(code) => code,
    }
}
