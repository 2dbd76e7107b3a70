//! How the processes of the control plane begin.

use std::process::ExitCode;

use crate::flags::Parsed;
use crate::{COMMIT, VERSION, log};

/// A process of the control plane, as its log lines name it.
#[derive(Debug)]
pub struct Process {
    /// The scope of its lines, such as `dapr.placement`.
    pub scope: &'static str,
    /// The scope of the line that refuses a flag.
    pub options: &'static str,
    /// Its name in the first line, such as `Dapr Placement Service`.
    pub title: &'static str,
    /// Refuses flags that cannot work, in upstream's words.
    pub check: fn(&Parsed) -> Result<(), String>,
}

impl Process {
    /// Begins as upstream does, then says that the service itself is not there
    /// and ends: exit code 1, so that nobody takes it for a working one.
    pub fn run(&self, flags: &Parsed) -> ExitCode {
        if let Err(code) = log::begin(flags, self.scope) {
            return code;
        }
        if let Err(e) = (self.check)(flags) {
            return log::fatal(self.options, &e);
        }
        let Self { scope, title, .. } = *self;
        tracing::info!(
            target: "dapr",
            scope,
            "Starting {title} -- version {VERSION} -- commit {COMMIT}"
        );
        let level = flags.string("log-level");
        tracing::info!(target: "dapr", scope, "Log level set to: {level}");
        log::fatal(
            scope,
            &format!("the {title} is not part of this release yet: only its command line is"),
        )
    }
}
