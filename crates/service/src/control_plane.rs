//! How the processes of the control plane begin and end.

use std::future::Future;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::flags::Parsed;
use crate::signals::{Signal, Signals};
use crate::{COMMIT, VERSION, log};

/// A process that serves, as its log lines name it.
#[derive(Debug)]
pub struct Server {
    /// The scope of its lines, such as `dapr.placement`.
    pub scope: &'static str,
    /// Its name in the first line, such as `Dapr Placement Service`.
    pub title: &'static str,
    /// Its last line.
    pub ended: &'static str,
    /// What stands before the error that ended it.
    pub failed: &'static str,
}

impl Server {
    /// Reads the configuration and runs until the process is told to end; an error of
    /// either is the fatal line. SIGUSR1 switches debug lines on and off.
    pub fn run<C, R>(
        &self,
        flags: &Parsed,
        read: impl FnOnce(&Parsed) -> Result<C, String>,
        run: impl FnOnce(C, CancellationToken) -> R,
    ) -> ExitCode
    where
        R: Future<Output = Result<(), String>>,
    {
        let scope = self.scope;
        let handle = match log::begin(flags, scope) {
            Ok(handle) => handle,
            Err(code) => return code,
        };
        let config = match read(flags) {
            Ok(config) => config,
            Err(e) => return log::fatal(scope, &e),
        };
        starting(scope, self.title, flags);
        let runtime = match crate::runtime() {
            Ok(runtime) => runtime,
            Err(e) => return log::fatal(scope, &format!("failed to start threads: {e}")),
        };
        let shutdown = CancellationToken::new();
        let served = runtime.block_on(async {
            let mut signals =
                Signals::install().map_err(|e| format!("failed to take signals: {e}"))?;
            tokio::select! {
                done = run(config, shutdown.clone()) => done,
                () = obey(&mut signals, &shutdown, scope, &handle) => Ok(()),
            }
        });
        match served {
            Ok(()) => {
                tracing::info!(target: "dapr", scope, "{}", self.ended);
                ExitCode::SUCCESS
            }
            Err(e) => log::fatal(scope, &format!("{}{e}", self.failed)),
        }
    }
}

/// Never ends: what the process does on being told to end is its own affair.
async fn obey(
    signals: &mut Signals,
    shutdown: &CancellationToken,
    scope: &'static str,
    handle: &log::Handle,
) {
    loop {
        match signals.next().await {
            Signal::Shutdown => shutdown.cancel(),
            Signal::Verbose => {
                let level = handle.toggle_debug();
                tracing::info!(target: "dapr", scope, "Log level set to: {level}");
            }
            // There is nothing to read again.
            Signal::Reload => {}
        }
    }
}

fn starting(scope: &'static str, title: &str, flags: &Parsed) {
    tracing::info!(
        target: "dapr",
        scope,
        "Starting {title} -- version {VERSION} -- commit {COMMIT}"
    );
    let level = flags.string("log-level");
    tracing::info!(target: "dapr", scope, "Log level set to: {level}");
}

/// A process of which only the command line is there.
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
        starting(scope, title, flags);
        log::fatal(
            scope,
            &format!("the {title} is not part of this release yet: only its command line is"),
        )
    }
}
