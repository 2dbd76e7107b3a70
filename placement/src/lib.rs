//! The Dapr placement service: tells sidecars which of them hosts which actors.

mod check;
pub mod config;
mod connections;
pub mod flags;
pub mod fuzzing;
mod hub;
mod leadership;
mod line;
mod metrics;
mod orders;
mod rounds;
mod run;
mod server;
mod state;
mod stream;

use std::process::ExitCode;

use service::control_plane::Server;
use service::flags::{Parsed, process_env};

pub use config::Config;
pub use run::run;

const SCOPE: &str = "dapr.placement";

/// Runs the process that the flags describe, until it is told to end.
pub fn main(flags: &Parsed) -> ExitCode {
    let process = Server {
        scope: SCOPE,
        title: "Dapr Placement Service",
        ended: "Placement service shut down gracefully",
        failed: "",
    };
    let read = |flags: &Parsed| Config::read(flags, &process_env);
    process.run(flags, read, async |config, shutdown| {
        run(&config, shutdown).await
    })
}

#[cfg(test)]
mod tests;
