//! Measures the release build and writes bench-results.md.
//!
//! Ratios within one run count, absolute figures do not transfer: the load
//! generator shares the machine with what it measures.

mod echo;
mod load;
mod process;
mod report;
mod sidecar;

use std::time::Duration;

use anyhow::Context;

use load::{Call, Load};
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
    calls(&mut table, span).await?;
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

async fn calls(table: &mut Table, span: Duration) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    let port = testkit::free_port();
    let echo = testkit::Process::builder(own)
        .args(["bench", "--echo", &port.to_string()])
        .start()?;
    let redis = sidecar::redis().await?;
    let stores = match redis {
        Some(_) => Stores::All,
        None => Stores::MemoryAndSqlite,
    };
    let daprd = sidecar::start(stores, redis.as_ref()).await?;
    daprd.ready().await?;
    sidecar::fill(&daprd, stores).await?;

    let get = |store: &str| Call::get(&format!("/v1.0/state/{store}/key"));
    let save = |store: &str| Call::post(&format!("/v1.0/state/{store}"), sidecar::one_kib());
    let floor = |load: Load| {
        Target::new(
            "bare hyper echo",
            "floor",
            port,
            echo.id(),
            Call::get("/"),
            load,
        )
    };
    let own = |name: &'static str, budget: &'static str, call: Call, load: Load| {
        Target::new(name, budget, daprd.http_port(), daprd.id(), call, load)
    };
    let mut targets = vec![
        floor(Load::Rate(1000)),
        own(
            "state read, HTTP, in-memory",
            "60 µs CPU",
            get("memory"),
            Load::Rate(1000),
        ),
        own(
            "state save, HTTP, in-memory",
            "",
            save("memory"),
            Load::Rate(1000),
        ),
        floor(Load::Maximum),
        own(
            "state read, HTTP, in-memory",
            "13 µs CPU",
            get("memory"),
            Load::Maximum,
        ),
        own(
            "state save, HTTP, in-memory",
            "",
            save("memory"),
            Load::Maximum,
        ),
        own("state read, HTTP, SQLite", "", get("sqlite"), Load::Maximum),
        own(
            "state save, HTTP, SQLite",
            "",
            save("sqlite"),
            Load::Maximum,
        ),
    ];
    if stores == Stores::All {
        targets.push(own(
            "state read, HTTP, Redis",
            "25 µs CPU",
            get("redis"),
            Load::Maximum,
        ));
        targets.push(own(
            "state save, HTTP, Redis",
            "",
            save("redis"),
            Load::Maximum,
        ));
    }
    for target in targets {
        // The first second warms caches and connections up.
        load::run(
            target.port,
            &target.call,
            target.load,
            Duration::from_secs(1),
        )
        .await?;
        let before = process::cpu(target.pid)?;
        let outcome = load::run(target.port, &target.call, target.load, span).await?;
        let cpu = process::cpu(target.pid)? - before;
        table.load(target.name, target.load, &outcome, cpu, target.budget);
    }
    let (rss, _) = process::memory(daprd.id())?;
    table.row("resident memory after this load", mib(rss), "25 MiB");
    Ok(())
}

struct Target {
    name: &'static str,
    budget: &'static str,
    port: u16,
    pid: u32,
    call: Call,
    load: Load,
}

impl Target {
    fn new(
        name: &'static str,
        budget: &'static str,
        port: u16,
        pid: u32,
        call: Call,
        load: Load,
    ) -> Self {
        Self {
            name,
            budget,
            port,
            pid,
            call,
            load,
        }
    }
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
