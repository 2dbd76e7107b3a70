//! The Dapr certificate authority: gives every sidecar and service its identity.
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
        scope: "dapr.sentry",
        options: "dapr.sentry",
        title: "Dapr Sentry certificate authority",
        check,
    };
    process.run(flags)
}

/// Values that contradict each other end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    let mode = flags.string("mode");
    if !["standalone", "kubernetes"].contains(&mode) {
        return Err(format!("Invalid options: invalid mode: {mode}"));
    }
    let given = |name| !flags.string(name).is_empty();
    if given("jwt-issuer") && !flags.boolean("jwt-enabled") {
        let text = "Invalid options: jwt-issuer cannot be set when jwt-enabled is false";
        return Err(text.into());
    }
    let tls = flags.boolean("oidc-enabled") && flags.boolean("oidc-server-tls-enabled");
    if tls && !given("oidc-server-tls-cert-file") {
        let text = "Invalid options: oidc-server-tls-cert-file is required when OIDC HTTP server \
                    is enabled (unless oidc-server-tls-enabled is false)";
        return Err(text.into());
    }
    if given("oidc-server-tls-cert-file") != given("oidc-server-tls-key-file") {
        let text = "both OIDC TLS certificate and key must be provided if one is specified";
        return Err(text.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
