//! Signals: the first SIGINT or SIGTERM asks the process to stop, the second
//! ends it at once, SIGHUP asks it to start again from its configuration.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

const SCOPE: &str = "dapr.signals";

/// What the user asked the process to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop gracefully (SIGINT or SIGTERM).
    Shutdown,
    /// Tear down and build up again in the same process (SIGHUP).
    Reload,
    /// Log more, or as before again (SIGUSR1).
    Verbose,
}

/// The process's signals, in the order they came.
#[derive(Debug)]
pub struct Signals {
    queue: mpsc::Receiver<Signal>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the rest of the process.
    ///
    /// The listener is not one of the process's tasks: it must outlive their
    /// shutdown, because a second signal ends a shutdown that hangs.
    #[allow(clippy::disallowed_methods)] // See above.
    pub fn install() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut user = signal(SignalKind::user_defined1())?;
        let (sender, queue) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut stopping = false;
            loop {
                let name = tokio::select! {
                    Some(()) = interrupt.recv() => "interrupt",
                    Some(()) = terminate.recv() => "terminated",
                    Some(()) = hangup.recv() => "hangup",
                    Some(()) = user.recv() => {
                        // A full queue means that the process is busy with others.
                        let _ = sender.try_send(Signal::Verbose);
                        continue;
                    }
                    else => return,
                };
                match (name, stopping) {
                    ("hangup", true) => {}
                    ("hangup", false) => {
                        tracing::info!(target: SCOPE, "Received signal '{name}'; restarting");
                        // A full queue already holds a reload.
                        let _ = sender.try_send(Signal::Reload);
                    }
                    (_, false) => {
                        tracing::info!(target: SCOPE, "Received signal '{name}'; beginning shutdown");
                        stopping = true;
                        let sender = sender.clone();
                        // Sending may wait for room; the second signal must not.
                        tokio::spawn(async move { sender.send(Signal::Shutdown).await });
                    }
                    (_, true) => {
                        let text = format!(
                            "Received signal '{name}' during shutdown; exiting immediately"
                        );
                        let _ = crate::fatal(SCOPE, &text);
                        std::process::exit(1);
                    }
                }
            }
        });
        Ok(Self { queue })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        match self.queue.recv().await {
            Some(signal) => signal,
            // The listener runs as long as the runtime does.
            None => std::future::pending().await,
        }
    }

    /// Waits until the process is asked to stop, for those that cannot reload.
    pub async fn shutdown(&mut self) {
        while self.next().await != Signal::Shutdown {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::process::Command;
    use tokio::time::timeout;

    use super::*;

    /// A second SIGTERM would end the test process, as it should.
    #[tokio::test]
    async fn a_hangup_reloads_and_a_termination_stops() {
        let mut signals = Signals::install().unwrap();
        let pid = std::process::id().to_string();
        for (name, expected) in [
            ("-HUP", Signal::Reload),
            ("-USR1", Signal::Verbose),
            ("-TERM", Signal::Shutdown),
        ] {
            let sent = Command::new("kill").args([name, &pid]).status().await;
            assert!(sent.unwrap().success());
            let got = timeout(Duration::from_secs(30), signals.next()).await;
            assert_eq!(got.unwrap(), expected);
        }
    }
}
