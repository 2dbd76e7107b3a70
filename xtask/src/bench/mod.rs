//! Measures the release build and writes bench-results.md.
//!
//! Ratios within one run count, absolute figures do not transfer: the load
//! generator shares the machine with what it measures.

mod call;
mod calls;
mod echo;
mod load;
mod process;
mod report;
mod sidecar;
mod store;

use std::time::Duration;

use report::Table;
use sidecar::Stores;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Serve the bare echo that everything is compared with, on this port.
    #[arg(long, hide = true)]
    echo: Option<u16>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match args.echo {
        Some(port) => runtime.block_on(echo::serve(port)),
        None => runtime.block_on(measure(Duration::from_secs(args.seconds))),
    }
}

async fn measure(span: Duration) -> anyhow::Result<()> {
    let mut table = Table::default();
    sizes(&mut table)?;
    memory(&mut table).await?;
    start(&mut table).await?;
    calls::measure(&mut table, span).await?;
    table.write("bench-results.md")
}

fn sizes(table: &mut Table) -> anyhow::Result<()> {
    let length = std::fs::metadata(testkit::binary("daprd")?)?.len();
    table.row("size of daprd", mib(length), "30 MiB, all components");
    Ok(())
}

async fn memory(table: &mut Table) -> anyhow::Result<()> {
    let redis = sidecar::redis().await?;
    for (name, stores, budget) in [
        ("no components", Stores::None, "9 MiB"),
        ("SQLite", Stores::Sqlite, "12 MiB"),
        ("SQLite and Redis", Stores::SqliteAndRedis, "12 MiB"),
    ] {
        if stores == Stores::SqliteAndRedis && redis.is_none() {
            table.row(
                "idle memory, SQLite and Redis",
                "redis-server is not installed",
                budget,
            );
            continue;
        }
        let daprd = sidecar::start(stores, redis.as_ref()).await?;
        daprd.ready().await?;
        // The first call touches what an idle sidecar has touched before.
        daprd.http().get("/v1.0/metadata").await?;
        let (rss, pss) = process::memory(daprd.id())?;
        let text = format!("{} RSS, {} PSS", mib(rss), mib(pss));
        table.row(&format!("idle memory, {name}"), text, budget);
    }
    Ok(())
}

/// The median of several starts.
async fn start(table: &mut Table) -> anyhow::Result<()> {
    let mut healthy = Vec::new();
    let mut read = Vec::new();
    for _ in 0..11 {
        let begin = tokio::time::Instant::now();
        let daprd = sidecar::start(Stores::Memory, None).await?;
        daprd.answers("/v1.0/healthz", 204).await?;
        healthy.push(begin.elapsed());
        daprd.answers("/v1.0/state/memory/none", 204).await?;
        read.push(begin.elapsed());
    }
    table.row(
        "exec to first 204 of healthz",
        millis(median(healthy)),
        "10 ms",
    );
    table.row("exec to first state read", millis(median(read)), "10 ms");
    Ok(())
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    spans[spans.len() / 2]
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}
