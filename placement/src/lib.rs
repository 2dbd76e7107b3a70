//! The Dapr placement service: tells sidecars which of them hosts which actors.
//!
//! So far it has its whole command line; the service itself comes later, and the
//! process says so.

pub mod flags;

use std::process::ExitCode;

use service::control_plane::Process;
use service::flags::Parsed;

/// Checks what the flags say and ends.
pub fn main(flags: &Parsed) -> ExitCode {
    let process = Process {
        scope: "dapr.placement",
        options: "dapr.placement",
        title: "Dapr Placement Service",
        check,
    };
    process.run(flags)
}

/// Values that cannot work end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    for name in ["keepalive-time", "keepalive-timeout"] {
        let nanos = flags.nanos(name);
        if !(1_000_000_000..=10_000_000_000).contains(&nanos) {
            let shown = service::duration::format_nanos(nanos);
            return Err(format!(
                "invalid value for {name}: value should be between 1s and 10s, got {shown}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
