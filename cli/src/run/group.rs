//! All applications of one `dapr run`: started in parallel, ended together.

use std::time::Duration;

use owo_colors::AnsiColors;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::output::Report;

use super::{
    console::Console,
    plan::Plan,
    supervise::{Surroundings, supervise},
};

/// How long a terminal may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

const COLORS: [AnsiColors; 5] = [
    AnsiColors::Blue,
    AnsiColors::Magenta,
    AnsiColors::Cyan,
    AnsiColors::Yellow,
    AnsiColors::Green,
];

/// Runs all plans until the first application or sidecar ends or a signal comes, ends the
/// rest, and returns the exit code: that of whatever ended first, or of what failed to start.
pub(crate) async fn run(plans: Vec<Plan>, report: Report) -> u8 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            report.failure(format_args!("cannot listen for signals: {error}"));
            return 1;
        }
    };
    let console = Console::start();
    let stop = CancellationToken::new();
    let force = CancellationToken::new();
    let mut running = JoinSet::new();
    for (plan, color) in plans.into_iter().zip(COLORS.into_iter().cycle()) {
        running.spawn(supervise(
            plan,
            Surroundings {
                report,
                lines: console.lines(),
                stop: stop.clone(),
                force: force.clone(),
                color: report.color().then_some(color),
            },
        ));
    }

    let mut code = None;
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                None => break,
                Some(ended) => {
                    // The later ones ended because they were told to, and then count nothing,
                    // unless they had failed at the same time.
                    let ended = ended.unwrap_or(1);
                    code = code.filter(|first| *first != 0).or(Some(ended));
                    stop.cancel();
                }
            },
            () = signals.next() => {
                if stop.is_cancelled() {
                    force.cancel();
                } else {
                    report.info("terminated signal received: shutting down");
                    stop.cancel();
                }
            }
        }
    }
    console.finish(LAST_LINES).await;
    code.unwrap_or(0)
}

/// The signals that end a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal was closed; nothing when the run shall survive that.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        // Listening would undo what `nohup dapr run` asks for.
        let hangup = if ignores_hangup() {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored, where the system tells.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
