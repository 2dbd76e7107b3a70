//! A small load generator: sixteen callers, each with a connection that it keeps.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use testkit::DEADLINE;
use tokio::task::{JoinSet, LocalSet, consume_budget};
use tokio::time::{Instant, sleep_until, timeout};

use super::call::Call;
use super::process;

const CALLERS: u32 = 16;
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
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// CPU per call of the process that serves it.
    pub(super) cpu: f64,
}

/// Repeats the call for this long and says what it costs the process `pid`.
pub(super) async fn measure(
    call: &Call,
    load: Load,
    span: Duration,
    pid: u32,
) -> anyhow::Result<Figures> {
    // This warms caches and connections up.
    run(call, load, WARM_UP.min(span)).await?;
    let before = process::cpu(pid)?;
    let (mut nanos, elapsed) = run(call, load, span).await?;
    // A thread that ended meanwhile takes its time along.
    let cpu = process::cpu(pid)?.saturating_sub(before);
    nanos.sort_unstable();
    let calls = nanos.len().max(1) as f64;
    Ok(Figures {
        rate: nanos.len() as f64 / elapsed.as_secs_f64(),
        p50: quantile(&nanos, 0.5),
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
async fn run(call: &Call, load: Load, span: Duration) -> anyhow::Result<(Vec<u32>, Duration)> {
    let call = Rc::new(call.clone());
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    let local = LocalSet::new();
    for number in 0..CALLERS {
        let call = Rc::clone(&call);
        callers.spawn_local_on(
            async move { caller(&call, load, number, begin, span).await },
            &local,
        );
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

async fn caller(
    call: &Call,
    load: Load,
    number: u32,
    begin: Instant,
    span: Duration,
) -> anyhow::Result<Vec<u32>> {
    let (mut connection, driver) = call.connect().await?;
    let calls = async {
        let mut latencies = Vec::new();
        let mut turn = number;
        while begin.elapsed() < span {
            // A store that never waits must not keep the other callers out.
            consume_budget().await;
            let mut from = Instant::now();
            if let Load::Rate(rate) = load {
                let due = begin + Duration::from_secs(1) * turn / rate;
                turn += CALLERS;
                // A call that is late already has waited in the queue; one that
                // is early starts when the timer, which counts milliseconds, fires.
                if due > from {
                    sleep_until(due).await;
                    from = Instant::now();
                } else {
                    from = due;
                }
            }
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
