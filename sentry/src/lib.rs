//! The Dapr certificate authority: gives every sidecar and service its identity.
//!
//! So far it has its whole command line; the service itself comes later, and the
//! process says so.

pub mod flags;

use std::process::ExitCode;

use service::flags::Parsed;

/// Checks what the flags say and ends.
pub fn main(flags: &Parsed) -> ExitCode {
    const SCOPE: &str = "dapr.sentry";
    if let Err(code) = service::log::begin(flags, SCOPE) {
        return code;
    }
    if let Err(e) = check(flags) {
        return service::log::fatal("dapr.sentry", &e);
    }
    service::log::fatal(
        SCOPE,
        "the sentry is not part of this release yet: only its command line is",
    )
}

/// Values that contradict each other end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    let mode = flags.string("mode");
    if !["standalone", "kubernetes"].contains(&mode) {
        return Err(format!("Invalid options: invalid mode: {mode}"));
    }
    let given = |name| !flags.string(name).is_empty();
    if given("oidc-server-tls-cert-file") != given("oidc-server-tls-key-file") {
        let text = "both OIDC TLS certificate and key must be provided if one is specified";
        return Err(text.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
