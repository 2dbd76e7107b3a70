//! The Dapr injector: adds the sidecar to pods that ask for it.
//!
//! So far it has its whole command line; the service itself comes later, and the
//! process says so.

pub mod flags;

use std::process::ExitCode;

use service::flags::Parsed;

/// Checks what the flags say and ends.
pub fn main(flags: &Parsed) -> ExitCode {
    const SCOPE: &str = "dapr.injector";
    if let Err(code) = service::log::begin(flags, SCOPE) {
        return code;
    }
    if let Err(e) = check(flags) {
        return service::log::fatal("dapr.injector", &e);
    }
    service::log::fatal(
        SCOPE,
        "the injector is not part of this release yet: only its command line is",
    )
}

/// The environment says which image sidecars have.
fn check(_: &Parsed) -> Result<(), String> {
    for name in ["SIDECAR_IMAGE", "NAMESPACE"] {
        if service::flags::process_env(name).is_none_or(|v| v.is_empty()) {
            return Err(format!(
                "Error getting config: required key {name} missing value"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
