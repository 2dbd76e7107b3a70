//! `daprd`, the sidecar.

use std::process::ExitCode;

fn main() -> ExitCode {
    match service::flags::from_process(&sidecar::flags::flags()) {
        Ok(flags) => sidecar::main(&flags),
        Err(code) => code,
    }
}
