//! The tables of results, and how far they can be believed.

use std::fmt::Write;

use super::load::{Figures, Load};

const HEAD: &str = "\
# Benchmark

One run on one machine; ratios within it count, absolute figures do not transfer.

How it is measured:

- Every program is a release build; everything talks over loopback, HTTP/1.1 or gRPC
  in the clear. Only sidecars among themselves, the bare hops and Sentry speak TLS.
- 16 callers, each with a connection of its own and one call under way. State: they save
  or read the same key of 1 KiB. Invocation: 1 KiB goes to another app and comes back.
  A read that finds nothing, or an answer that is too short, ends the benchmark.
- A load of N/s is offered on a schedule that waits for nobody, by a thread with a clock
  of its own: whoever is free makes the next call, which counts from when it was due. At
  \"maximum\" each caller calls again as soon as it has its answer.
- One second warms up, then the figures are taken. Latencies are exact, not from buckets.
- CPU is what the kernel counts for the serving process: daprd, or the echo, without
  the caller's. The floor is a bare hyper echo of 1 KiB;
  what gRPC takes with the same libraries at least, its row over HTTP/2 shows.
- \"direct\" is the same component, opened in the benchmark's own process through the same
  registry, without a sidecar. Its CPU is that process's less what the load generator
  takes per turn when it calls nothing.
- Invocation is measured app to app directly, over two bare hops, and through two sidecars
  with a real Sentry. A hop has nothing but the transport of a sidecar: hyper's HTTP/1 in,
  its HTTP/2 over rustls with identities from that Sentry, its HTTP/1 client out, one
  thread. CPU is that of both hops or both sidecars, without the app's and the caller's.
- A certificate is one request of the same client: Sentry checks the request's signature
  and signs. CPU is Sentry's; a connection of its own includes the TLS handshake.
- Actors: 1 KiB goes to an actor of the app and comes back, over 1,000 actors in turn, or
  to a new one with each call. CPU is that of the sidecars. They speak in the clear. Beside
  them the same calls go to the app directly, and through a bare hop: HTTP/1 in and out.
- Jobs and reminders are registered through a sidecar, due in a day, each under a name of
  its own; an answer means that the scheduler has them on its disk. CPU is that of sidecar
  and scheduler together.
- Lateness: the app is in the benchmark's own process and notes when a request reaches it.
  The due times are spread evenly over one second, registered at the scheduler itself.
- Placement: clients of our own, which take less of the machine than a library's would.
  Each answers every order and compares its table with that of the others, of which one
  is decoded; median of five services.

Known lies:

- The load generator shares the machine's cores with what it measures (and with Redis),
  so the maximum is that of all of them together; at a fixed rate it delays answers.
- \"maximum\" is a closed loop: a slow answer slows the next call, which hides queueing.
  Its latency is mostly 16 callers waiting for each other; read latency at the fixed rate
  and CPU at the maximum.
- At a fixed rate CPU per call is mostly timers, wake-ups and cold caches; a store that
  answers in less than the empty loop's noise shows 0.
- At a fixed rate every latency holds what the load generator takes to wake up, which is
  the row of no call at all; what is added does not.
- A direct call to the in-memory store never waits, so its callers run one after the other.
- A direct store shares its event loop with the callers, the sidecar's does not; SQLite has
  threads of its own in both. Redis's own CPU is in no row.
- gRPC rows use tonic's client, which costs the shared cores more than the HTTP one; real
  apps share one connection where these callers have sixteen.
- The bare hops have one thread, a sidecar as many as there are processors.
- One key is always in every cache, and no call has to wait for another machine.

";

const TABLE_OF_FIGURES: &str = "| figure | measured | budget |\n|---|--:|--:|\n";

const TABLE_OF_CALLS: &str = "
| call | load | rate | p50 µs | p99 µs | CPU µs per call | times the floor | budget |
|---|--:|--:|--:|--:|--:|--:|--:|
";

const TABLE_OF_ADDITIONS: &str = "
What the sidecar adds: direct, through the sidecar, and the difference, in µs.

| call | load | p50 | added | p99 | added | CPU per call | added |
|---|--:|--:|--:|--:|--:|--:|--:|
";

const TABLE_OF_SERVED: &str = "
Calls between apps and certificates; the budget is that of calls per CPU second.

| call | load | rate | mean µs | p50 µs | p99 µs | CPU µs per call | times the hops | calls per CPU second | budget |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

const TABLE_OF_DELAYS: &str = "
What is added to a call of the app itself, in µs; the budget is that of the three.

| call | load | mean | p50 | p99 | budget |
|---|--:|--:|--:|--:|--:|
";

const TABLE_OF_BLOCKS: &str = "
Actors, jobs and reminders. Each caller calls again as soon as it has its answer.

| call | callers | rate | p50 µs | p95 µs | p99 µs | CPU µs per call | calls per CPU second | budget |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
";

#[derive(Default)]
pub(super) struct Table {
    rows: String,
    calls: String,
    additions: String,
    served: String,
    delays: String,
    blocks: String,
    floors: Vec<(Load, f64)>,
}

impl Table {
    /// One figure beside its budget.
    pub(super) fn row(&mut self, name: &str, value: impl AsRef<str>, budget: &str) {
        let value = value.as_ref();
        announce(&format!("{name}: {value}"));
        put(
            &mut self.rows,
            format_args!("| {name} | {value} | {budget} |\n"),
        );
    }

    /// One kind of call under load; the first of each load is the floor.
    pub(super) fn call(&mut self, name: &str, load: Load, figures: Figures, budget: &str) {
        let Figures {
            rate,
            p50,
            p99,
            cpu,
            ..
        } = figures;
        let floor = self.floors.iter().find(|(of, _)| *of == load);
        let floor = floor.map(|(_, floor)| *floor);
        if floor.is_none() {
            self.floors.push((load, cpu));
        }
        let times = cpu / floor.unwrap_or(cpu);
        let line = format!(
            "| {name} | {} | {rate:.0}/s | {} | {} | {} | {times:.1} | {budget} |\n",
            offered(load),
            micros(p50),
            micros(p99),
            micros(cpu),
        );
        announce(line.trim_end());
        self.calls += &line;
    }

    /// The same call made on the store itself and through the sidecar.
    pub(super) fn added(&mut self, name: &str, load: Load, direct: Figures, through: Figures) {
        let mut line = format!("| {name} | {} |", offered(load));
        for (direct, through) in [
            (direct.p50, through.p50),
            (direct.p99, through.p99),
            (direct.cpu, through.cpu),
        ] {
            let (before, after) = (micros(direct), micros(through));
            let added = micros(through - direct);
            put(&mut line, format_args!(" {before} → {after} | {added} |"));
        }
        self.additions += &line;
        self.additions.push('\n');
    }

    /// A call that several processes may serve, beside the bare hops if it is of
    /// their kind.
    pub(super) fn served(
        &mut self,
        name: &str,
        load: Load,
        figures: Figures,
        hops: Option<Figures>,
        budget: &str,
    ) {
        let times = hops.map_or_else(String::new, |hops| format!("{:.1}", figures.cpu / hops.cpu));
        let line = format!(
            "| {name} | {} | {:.0}/s | {} | {} | {} | {} | {times} | {} | {budget} |\n",
            offered(load),
            figures.rate,
            micros(figures.mean),
            micros(figures.p50),
            micros(figures.p99),
            micros(figures.cpu),
            per_second(figures.cpu),
        );
        announce(line.trim_end());
        self.served += &line;
    }

    /// The same call made directly and by a way that takes longer.
    pub(super) fn delayed(
        &mut self,
        name: &str,
        load: Load,
        direct: Figures,
        through: Figures,
        budget: &str,
    ) {
        let line = format!(
            "| {name} | {} | {} | {} | {} | {budget} |\n",
            offered(load),
            micros(through.mean - direct.mean),
            micros(through.p50 - direct.p50),
            micros(through.p99 - direct.p99),
        );
        announce(&format!("added: {}", line.trim_end()));
        self.delays += &line;
    }

    /// A call of actors, jobs or reminders by so many callers.
    pub(super) fn block(&mut self, name: &str, callers: u32, figures: Figures, budget: &str) {
        let line = format!(
            "| {name} | {callers} | {:.0}/s | {} | {} | {} | {} | {} | {budget} |\n",
            figures.rate,
            micros(figures.p50),
            micros(figures.p95),
            micros(figures.p99),
            micros(figures.cpu),
            per_second(figures.cpu),
        );
        announce(line.trim_end());
        self.blocks += &line;
    }

    /// The tables that have anything in them.
    fn tables(&self) -> String {
        let tables = [
            (TABLE_OF_FIGURES, &self.rows),
            (TABLE_OF_CALLS, &self.calls),
            (TABLE_OF_ADDITIONS, &self.additions),
            (TABLE_OF_SERVED, &self.served),
            (TABLE_OF_DELAYS, &self.delays),
            (TABLE_OF_BLOCKS, &self.blocks),
        ];
        let filled = tables.iter().filter(|(_, lines)| !lines.is_empty());
        filled.flat_map(|(head, lines)| [*head, lines]).collect()
    }

    pub(super) fn print(&self) {
        announce(&self.tables());
    }

    pub(super) fn write(&self, path: &str) -> anyhow::Result<()> {
        std::fs::write(path, format!("{HEAD}{}", self.tables()))?;
        announce(&format!("written to {path}"));
        Ok(())
    }
}

fn offered(load: Load) -> String {
    match load {
        Load::Rate(rate) => format!("{rate}/s"),
        Load::Maximum => "maximum".to_owned(),
    }
}

/// Four digits at most: 12300, 987.
fn per_second(cpu: f64) -> String {
    let calls = 1e6 / cpu;
    let step = if calls < 1000.0 { 1.0 } else { 10.0 };
    format!("{:.0}", (calls / step).round() * step)
}

/// Two digits are all that one run is good for.
fn micros(micros: f64) -> String {
    match micros.abs() {
        small if small < 1.0 => format!("{micros:.2}"),
        small if small < 10.0 => format!("{micros:.1}"),
        _ => format!("{micros:.0}"),
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(line);
}

#[allow(clippy::print_stdout)] // the results are this program's output
fn announce(line: &str) {
    println!("{line}");
}
