//! Measures the release build and writes bench-results.md.
//!
//! Ratios within one run count, absolute figures do not transfer: the load
//! generator shares the machine with what it measures.

mod actors;
mod call;
mod calls;
mod echo;
mod hops;
mod idle;
mod invoke;
mod jobs;
mod join;
mod lateness;
mod load;
mod pace;
mod placement;
mod plane;
mod process;
mod register;
mod report;
mod servers;
mod sidecar;
mod sign;
mod store;
mod stored;
mod wire;

use std::time::Duration;

use clap::ValueEnum;
use jobs::Kind;
use report::Table;
use servers::Server;
use sidecar::Stores;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measure one part and write no file.
    #[arg(long)]
    only: Option<Part>,
    /// Serve what is measured, in a process of its own.
    #[command(subcommand)]
    server: Option<Server>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Memory,
    Startup,
    State,
    Invoke,
    Sentry,
    Actors,
    Jobs,
    Reminders,
    Stored,
    Placement,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match &args.server {
        Some(server) => runtime.block_on(server.serve()),
        None => runtime.block_on(measure(Duration::from_secs(args.seconds), args.only)),
    }
}

async fn measure(span: Duration, only: Option<Part>) -> anyhow::Result<()> {
    let mut table = Table::default();
    let parts = Part::value_variants();
    for part in parts
        .iter()
        .filter(|part| only.is_none_or(|only| only == **part))
    {
        match part {
            Part::Memory => memory(&mut table).await?,
            Part::Startup => start(&mut table).await?,
            Part::State => calls::measure(&mut table, span).await?,
            Part::Invoke => invoke::measure(&mut table, span).await?,
            Part::Sentry => sign::measure(&mut table, span).await?,
            Part::Actors => actors::measure(&mut table, span).await?,
            Part::Jobs => jobs::measure(&mut table, span, Kind::Job).await?,
            Part::Reminders => jobs::measure(&mut table, span, Kind::Reminder).await?,
            Part::Stored => stored::measure(&mut table).await?,
            Part::Placement => placement::measure(&mut table).await?,
        }
    }
    match only {
        Some(_) => table.print(),
        None => table.write("bench-results.md")?,
    }
    Ok(())
}

fn sizes(table: &mut Table) -> anyhow::Result<()> {
    let length = std::fs::metadata(testkit::binary("daprd")?)?.len();
    table.row("size of daprd", mib(length), "30 MiB, all components");
    Ok(())
}

async fn memory(table: &mut Table) -> anyhow::Result<()> {
    sizes(table)?;
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
        let daprd = sidecar::start(stores, redis.as_ref())?;
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
        let daprd = sidecar::start(Stores::Memory, None)?;
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
