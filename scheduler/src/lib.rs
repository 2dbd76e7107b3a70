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

use service::control_plane::Server;
use service::flags::{Parsed, process_env};

pub use config::Config;
pub use run::run;

const SCOPE: &str = "dapr.scheduler";

/// Runs the process that the flags describe, until it is told to end.
pub fn main(flags: &Parsed) -> ExitCode {
    let process = Server {
        scope: SCOPE,
        title: "Dapr Scheduler Service",
        ended: "Scheduler service shut down gracefully",
        failed: "Fatal error running scheduler: ",
    };
    let read = |flags: &Parsed| Config::read(flags, &process_env);
    process.run(flags, read, async |config, shutdown| {
        run(&config, shutdown).await
    })
}

#[cfg(test)]
mod tests;
