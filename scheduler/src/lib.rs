//! The Dapr scheduler: keeps jobs and reminders and fires them when they are due.
//!
//! So far it has its whole command line; the service itself comes later, and the
//! process says so.

pub mod flags;
pub mod hosts;
pub mod records;
pub mod store;

use std::process::ExitCode;

use service::control_plane::Process;
use service::flags::Parsed;

/// Checks what the flags say and ends.
pub fn main(flags: &Parsed) -> ExitCode {
    let process = Process {
        scope: "dapr.scheduler",
        options: "dapr.scheduler",
        title: "Dapr Scheduler Service",
        check,
    };
    process.run(flags)
}

/// Values that contradict each other end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    let (embed, endpoints) = (
        flags.boolean("etcd-embed"),
        flags.strings("etcd-client-endpoints"),
    );
    if embed && !endpoints.is_empty() {
        return Err("cannot use --etcd-client-endpoints with --etcd-embed".into());
    }
    if !embed && endpoints.is_empty() {
        let text = "must specify --etcd-client-endpoints when not using embedded etcd";
        return Err(text.into());
    }
    if !flags.string("kubeconfig").is_empty() && flags.string("mode") != "kubernetes" {
        return Err("kubeconfig flag is only valid in --mode=kubernetes".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
