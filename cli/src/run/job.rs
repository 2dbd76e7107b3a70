//! A child process in a group of its own, with its output passed on.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::console::{Sink, pump};

/// How long the rest of the output may take once the process has ended.
const DRAIN: Duration = Duration::from_secs(1);

pub(crate) struct Job {
    child: Child,
    group: Pid,
    pumps: JoinSet<()>,
}

impl Job {
    /// Starts the process as the leader of a new group, so that a signal reaches all that it
    /// starts, and Ctrl-C in the terminal reaches nobody but this tool, which keeps the order.
    pub(crate) fn start(mut command: Command, sink: &Sink) -> Result<Self> {
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .with_context(|| format!("{} ended at once", program.display()))?;
        let mut pumps = JoinSet::new();
        if let Some(output) = child.stdout.take() {
            pumps.spawn(pump(output, sink.clone()));
        }
        if let Some(output) = child.stderr.take() {
            pumps.spawn(pump(output, sink.clone()));
        }
        Ok(Self {
            child,
            group,
            pumps,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Waits until the process ends; may be called again, and given up, at any time.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        // It only fails when somebody else collected the child: then it has ended.
        self.child.wait().await.unwrap_or_default()
    }

    /// Ends the whole group: politely, and by force after the grace time or when `force` is
    /// cancelled. Returns once the process has ended and its output is passed on.
    pub(crate) async fn end(mut self, grace: Duration, force: &CancellationToken) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = tokio::select! {
            status = self.wait() => Some(status),
            () = tokio::time::sleep(grace) => None,
            () = force.cancelled() => None,
        };
        // Also when the process itself has ended: what it started must not outlive it.
        self.signal(Signal::KILL);
        let status = match status {
            Some(status) => status,
            None => self.wait().await,
        };
        let drained = async { while self.pumps.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
        status
    }

    fn signal(&self, signal: Signal) {
        // A group without members is the only likely failure, and what was wanted.
        let _ = kill_process_group(self.group, signal);
    }
}
