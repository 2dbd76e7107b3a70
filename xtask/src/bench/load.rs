//! A small load generator: a few callers, each with a connection that it keeps.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use testkit::DEADLINE;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, LocalSet, consume_budget};
use tokio::time::timeout;

use super::call::{Call, Connection, Driver};
use super::{pace, process};

/// As many as most figures are taken with.
pub(super) const CALLERS: u32 = 16;
const WARM_UP: Duration = Duration::from_secs(1);

/// How fast calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// At this many per second, whatever the answers take: waiting shows.
    Rate(u32),
    /// Each caller calls again as soon as it has its answer.
    Maximum,
}

/// What came of it; times are in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Calls per second.
    pub(super) rate: f64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    /// CPU per call of the processes that serve it.
    pub(super) cpu: f64,
}

/// Repeats the call for this long and says what it costs the processes `pids`.
pub(super) async fn measure(
    call: &Call,
    load: Load,
    span: Duration,
    pids: &[u32],
) -> anyhow::Result<Figures> {
    measure_from(CALLERS, call, load, span, pids).await
}

/// The same with another number of callers.
pub(super) async fn measure_from(
    callers: u32,
    call: &Call,
    load: Load,
    span: Duration,
    pids: &[u32],
) -> anyhow::Result<Figures> {
    // This warms caches and connections up.
    run(callers, call, load, WARM_UP.min(span)).await?;
    let before = process::cpu(pids)?;
    let (mut nanos, elapsed) = run(callers, call, load, span).await?;
    // A thread that ended meanwhile takes its time along.
    let cpu = process::cpu(pids)?.saturating_sub(before);
    nanos.sort_unstable();
    let calls = nanos.len().max(1) as f64;
    let total: f64 = nanos.iter().map(|nanos| f64::from(*nanos)).sum();
    Ok(Figures {
        rate: nanos.len() as f64 / elapsed.as_secs_f64(),
        mean: total / calls / 1e3,
        p50: quantile(&nanos, 0.5),
        p95: quantile(&nanos, 0.95),
        p99: quantile(&nanos, 0.99),
        cpu: cpu.as_secs_f64() * 1e6 / calls,
    })
}

/// The latency that this share of the calls stayed within, in microseconds.
fn quantile(sorted: &[u32], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    f64::from(sorted.get(index).copied().unwrap_or_default()) / 1e3
}

/// The latency of each call in nanoseconds, and how long all of them took.
///
/// Four bytes each, because a store in this process answers millions of times.
async fn run(
    callers: u32,
    call: &Call,
    load: Load,
    span: Duration,
) -> anyhow::Result<(Vec<u32>, Duration)> {
    let call = Rc::new(call.clone());
    let mut connections = Vec::new();
    for _ in 0..callers {
        connections.push(call.connect().await?);
    }
    let begin = Instant::now();
    let turns = Rc::new(match load {
        Load::Rate(rate) => Turns::Due(Mutex::new(pace::start(rate, begin, span)?)),
        Load::Maximum => Turns::Until(begin + span),
    });
    let mut callers = JoinSet::new();
    let local = LocalSet::new();
    for connected in connections {
        let (call, turns) = (Rc::clone(&call), Rc::clone(&turns));
        let caller = async move { caller(&call, &turns, connected).await };
        callers.spawn_local_on(caller, &local);
    }
    let mut latencies = Vec::new();
    let collect = async {
        while let Some(caller) = callers.join_next().await {
            latencies.extend(caller??);
        }
        anyhow::Ok(())
    };
    timeout(span + DEADLINE, local.run_until(collect))
        .await
        .context("a call of the benchmark got no answer")??;
    Ok((latencies, begin.elapsed()))
}

/// When the next call begins, whoever makes it.
enum Turns {
    /// Whoever is free takes the next; one that nobody took in time is late.
    Due(Mutex<UnboundedReceiver<Instant>>),
    /// At once, until then.
    Until(Instant),
}

impl Turns {
    /// From when the next call counts, `None` after the last.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::Due(dues) => dues.lock().await.recv().await,
            Self::Until(end) => {
                // A store that never waits must not keep the other callers out.
                consume_budget().await;
                let now = Instant::now();
                (now < *end).then_some(now)
            }
        }
    }
}

async fn caller(
    call: &Call,
    turns: &Turns,
    (mut connection, driver): (Connection, Driver),
) -> anyhow::Result<Vec<u32>> {
    let calls = async {
        let mut latencies = Vec::new();
        while let Some(from) = turns.next().await {
            call.once(&mut connection).await?;
            latencies.push(u32::try_from(from.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        anyhow::Ok(latencies)
    };
    let driver = async {
        driver.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        latencies = calls => latencies,
        () = driver => unreachable!("the driver never returns"),
    }
}
