//! The Dapr sidecar: building blocks over HTTP and gRPC for the app beside it.

mod actors;
mod api;
mod app;
mod block;
mod config;
pub mod flags;
pub mod fuzzing;
mod health;
mod host;
mod invoke;
mod jobs;
mod load;
mod metadata;
mod meters;
mod peer;
mod policy_metrics;
mod pubsub;
mod run;
mod scheduler;
mod secrets;
mod servers;
mod shutdown;
mod state;
mod wait;

use std::process::ExitCode;

use service::flags::{Parsed, process_env};

const SCOPE: &str = "dapr.runtime";

/// Runs the process that the flags describe, until it is told to end.
pub fn main(flags: &Parsed) -> ExitCode {
    let runtime = match service::runtime() {
        Ok(runtime) => runtime,
        Err(e) => return service::log::fatal(SCOPE, &format!("failed to start threads: {e}")),
    };
    if flags.boolean("wait") {
        return runtime.block_on(wait::until_ready(flags.string("dapr-http-port")));
    }
    let sizes = match config::sizes(flags) {
        Ok(sizes) => sizes,
        Err(e) => return service::log::fatal(SCOPE, &format!("Failed to parse flags: {e}")),
    };
    let app_id = Some(flags.string("app-id").to_owned()).filter(|id| !id.is_empty());
    let options = service::log::Options {
        app_id,
        ..service::log::Options::from_flags(flags)
    };
    let log = match service::log::init(&options) {
        Ok(log) => log,
        Err(e) => return service::log::fatal(SCOPE, &e),
    };
    tracing::info!(
        target: SCOPE,
        "Starting Dapr Runtime -- version {} -- commit {}", service::VERSION, service::COMMIT
    );
    tracing::info!(target: SCOPE, "Log level set to: {}", options.level);
    let config = match config::config(flags, &process_env, sizes) {
        Ok(config) => config,
        Err(e) => return fatal(&e),
    };
    match runtime.block_on(run::until_stopped(&config, &log)) {
        Ok(run::End::Stopped) => {
            tracing::info!(target: SCOPE, "Daprd shutdown gracefully");
            ExitCode::SUCCESS
        }
        Ok(run::End::Forced) => ExitCode::FAILURE,
        Ok(run::End::TimedOut) => service::log::fatal(
            SCOPE,
            "Graceful shutdown timeout exceeded, forcing shutdown",
        ),
        Err(e) => fatal(&e),
    }
}

fn fatal(cause: &str) -> ExitCode {
    service::log::fatal(SCOPE, &format!("Fatal error from runtime: {cause}"))
}
