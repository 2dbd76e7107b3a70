//! The Dapr scheduler: keeps jobs and reminders and fires them when they are due.

pub mod config;
mod engine;
pub mod etcd;
pub mod flags;
pub mod fuzzing;
pub mod hosts;
mod metrics;
mod namespaces;
pub mod records;
mod run;
mod server;
pub mod store;

use std::process::ExitCode;

use service::flags::{Parsed, process_env};
use service::signals::{Signal, Signals};
use service::{COMMIT, VERSION, log};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use run::run;

const SCOPE: &str = "dapr.scheduler";

/// Runs the process that the flags describe, until it is told to end.
pub fn main(flags: &Parsed) -> ExitCode {
    let handle = match log::begin(flags, SCOPE) {
        Ok(handle) => handle,
        Err(code) => return code,
    };
    let config = match Config::read(flags, &process_env) {
        Ok(config) => config,
        Err(e) => return log::fatal(SCOPE, &e),
    };
    tracing::info!(
        target: SCOPE,
        "Starting Dapr Scheduler Service -- version {VERSION} -- commit {COMMIT}"
    );
    let level = flags.string("log-level");
    tracing::info!(target: SCOPE, "Log level set to: {level}");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return log::fatal(SCOPE, &format!("failed to start threads: {e}")),
    };
    match runtime.block_on(until_stopped(&config, &handle)) {
        Ok(()) => {
            tracing::info!(target: SCOPE, "Scheduler service shut down gracefully");
            ExitCode::SUCCESS
        }
        Err(e) => log::fatal(SCOPE, &format!("Fatal error running scheduler: {e}")),
    }
}

async fn until_stopped(config: &Config, log: &log::Handle) -> Result<(), String> {
    let mut signals = Signals::install().map_err(|e| format!("failed to take signals: {e}"))?;
    let shutdown = CancellationToken::new();
    let stopping = async {
        loop {
            match signals.next().await {
                Signal::Shutdown => shutdown.cancel(),
                Signal::Verbose => {
                    let level = log.toggle_debug();
                    tracing::info!(target: SCOPE, "Log level set to: {level}");
                }
                // There is nothing to read again.
                Signal::Reload => {}
            }
        }
    };
    tokio::select! {
        done = run(config, shutdown.clone()) => done,
        () = stopping => Ok(()),
    }
}

#[cfg(test)]
mod tests;
