//! The Dapr placement service: tells sidecars which of them hosts which actors.
//!
//! So far it has its whole command line; the service itself comes later, and the
//! process says so.

pub mod flags;

use std::process::ExitCode;

use service::flags::Parsed;

/// Checks what the flags say and ends.
pub fn main(flags: &Parsed) -> ExitCode {
    const SCOPE: &str = "dapr.placement";
    if let Err(code) = service::log::begin(flags, SCOPE) {
        return code;
    }
    if let Err(e) = check(flags) {
        return service::log::fatal("dapr.placement", &e);
    }
    service::log::fatal(
        SCOPE,
        "the placement is not part of this release yet: only its command line is",
    )
}

/// Values that cannot work end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    for name in ["keepalive-time", "keepalive-timeout"] {
        let nanos = flags.nanos(name);
        if !(1_000_000_000..=10_000_000_000).contains(&nanos) {
            let shown = service::duration::format_nanos(nanos);
            return Err(format!("invalid value for {name}: {shown}; use 1s to 10s"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
