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
    sentry::{Running, Sentry},
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
///
/// Sentry, where there is one, runs before all others and ends after them.
pub(crate) async fn run(plans: Vec<Plan>, sentry: Option<Sentry>, report: Report) -> u8 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            report.failure(format_args!("cannot listen for signals: {error}"));
            return 1;
        }
    };
    let console = Console::start();
    let mut sentry = match start(sentry, &console, &mut signals, report).await {
        Ok(sentry) => sentry,
        Err(code) => {
            console.finish(LAST_LINES).await;
            return code;
        }
    };
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
            () = keep(&mut sentry, report), if !stop.is_cancelled() => {}
        }
    }
    if let Some(sentry) = sentry {
        sentry.end(&force).await;
    }
    console.finish(LAST_LINES).await;
    code.unwrap_or(0)
}

/// Starts Sentry unless a signal comes first; the error is the exit code.
async fn start(
    sentry: Option<Sentry>,
    console: &Console,
    signals: &mut Signals,
    report: Report,
) -> Result<Option<Running>, u8> {
    let Some(sentry) = sentry else {
        return Ok(None);
    };
    tokio::select! {
        started = sentry.start(console.lines(), report) => match started {
            Ok(sentry) => Ok(Some(sentry)),
            Err(error) => {
                report.failure(format_args!("{error:#}"));
                Err(1)
            }
        },
        () = signals.next() => Err(0),
    }
}

/// Sees to it that Sentry, where there is one, runs on.
async fn keep(sentry: &mut Option<Running>, report: Report) {
    match sentry {
        Some(sentry) => sentry.keep(report).await,
        None => std::future::pending().await,
    }
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
