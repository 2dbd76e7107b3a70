//! The Dapr certificate authority: gives every sidecar and service its identity.

mod authority;
mod bundle;
mod clock;
mod config;
mod connections;
pub mod flags;
pub mod fuzzing;
mod generation;
mod identity;
mod keys;
mod kubernetes;
mod metrics;
mod oidc;
mod options;
mod run;
mod server;
mod tls;
mod validate;
mod watch;
mod x509;

use std::process::ExitCode;

use service::flags::{Parsed, process_env};
use service::{COMMIT, VERSION, log};

const SCOPE: &str = "dapr.sentry";

/// Runs the process that the flags describe, until it is told to end.
pub fn main(flags: &Parsed) -> ExitCode {
    let handle = match log::begin(flags, SCOPE) {
        Ok(handle) => handle,
        Err(code) => return code,
    };
    let options = options::check(flags).and_then(|()| {
        let read = options::Options::read(flags, &process_env);
        read.map_err(|e| format!("Invalid options: {e}"))
    });
    let options = match options {
        Ok(options) => options,
        Err(e) => return log::fatal(SCOPE, &e),
    };
    tracing::info!(
        target: SCOPE,
        "Starting Dapr Sentry certificate authority -- version {VERSION} -- commit {COMMIT}"
    );
    let level = flags.string("log-level");
    tracing::info!(target: SCOPE, "Log level set to: {level}");
    let runtime = match service::runtime() {
        Ok(runtime) => runtime,
        Err(e) => return log::fatal(SCOPE, &format!("failed to start threads: {e}")),
    };
    match runtime.block_on(run::until_stopped(&options, &handle)) {
        Ok(()) => {
            tracing::info!(target: SCOPE, "Sentry shut down gracefully");
            ExitCode::SUCCESS
        }
        Err(e) => log::fatal(SCOPE, &e),
    }
}

#[cfg(test)]
mod tests;
