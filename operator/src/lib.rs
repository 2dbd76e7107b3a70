//! The Dapr operator: serves resources to sidecars and keeps the cluster in step with them.
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
        scope: "dapr.operator",
        options: "dapr.operator.options",
        title: "Dapr Operator",
        check,
    };
    process.run(flags)
}

/// Upstream refuses these values before it does anything.
fn check(flags: &Parsed) -> Result<(), String> {
    let text = flags.string("watch-interval");
    let off = ["0", "false", "f", "no", "off", "once"];
    if off.contains(&text.to_lowercase().as_str()) {
        return Ok(());
    }
    let interval = service::duration::parse_nanos(text)
        .map_err(|e| format!("invalid value for watch-interval: {e}"))?;
    if interval < 1_000_000_000 {
        return Err(
            "invalid watch-interval value: if not '0' or 'once', must be at least 1s".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
