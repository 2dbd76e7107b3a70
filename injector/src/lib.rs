//! The Dapr injector: adds the sidecar to pods that ask for it.
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
        scope: "dapr.injector",
        options: "dapr.injector",
        title: "Dapr Sidecar Injector",
        check,
    };
    process.run(flags)
}

/// The environment says which image sidecars have.
fn check(_: &Parsed) -> Result<(), String> {
    required(&service::flags::process_env)
}

fn required(env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    for name in ["SIDECAR_IMAGE", "NAMESPACE"] {
        if env(name).is_none_or(|v| v.is_empty()) {
            return Err(format!(
                "Error getting config: required key {name} missing value"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
