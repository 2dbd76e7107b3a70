//! The table of results.

use std::fmt::Write;
use std::time::Duration;

use super::load::{Load, Outcome};

#[derive(Default)]
pub(super) struct Table {
    rows: String,
    loads: String,
    floors: Vec<(Load, f64)>,
}

impl Table {
    /// One figure beside its budget.
    pub(super) fn row(&mut self, name: &str, value: impl AsRef<str>, budget: &str) {
        let value = value.as_ref();
        announce(&format!("{name}: {value}"));
        let _ = writeln!(self.rows, "| {name} | {value} | {budget} |");
    }

    /// One kind of call under load; the first of each load is the floor.
    pub(super) fn load(
        &mut self,
        name: &str,
        load: Load,
        outcome: &Outcome,
        cpu: Duration,
        budget: &str,
    ) {
        let per_call = cpu.as_secs_f64() * 1e6 / outcome.calls().max(1) as f64;
        let floor = self.floors.iter().find(|(of, _)| *of == load);
        let floor = floor.map(|(_, floor)| *floor);
        if floor.is_none() {
            self.floors.push((load, per_call));
        }
        let times = per_call / floor.unwrap_or(per_call);
        let load = match load {
            Load::Rate(rate) => format!("{rate}/s"),
            Load::Maximum => "maximum".to_owned(),
        };
        let line = format!(
            "| {name} | {load} | {:.0}/s | {:.2} ms | {:.2} ms | {per_call:.0} µs | {times:.1} | {budget} |",
            outcome.rate(),
            outcome.quantile(0.5).as_secs_f64() * 1e3,
            outcome.quantile(0.99).as_secs_f64() * 1e3,
        );
        announce(&line);
        self.loads += &line;
        self.loads.push('\n');
    }

    pub(super) fn write(self, path: &str) -> anyhow::Result<()> {
        let text = format!(
            "# Benchmark\n\n\
             One run on one machine. The load generator shares its cores, so ratios count and\n\
             absolute figures do not transfer. CPU is that of the server's process alone; the\n\
             floor is a bare hyper echo of 1 KiB in the same run.\n\n\
             | figure | measured | budget |\n|---|--:|--:|\n{}\n\
             | call, 1 KiB, 16 connections | load | rate | p50 | p99 | CPU per call | times the floor | budget |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|\n{}",
            self.rows, self.loads
        );
        std::fs::write(path, text)?;
        announce(&format!("written to {path}"));
        Ok(())
    }
}

#[allow(clippy::print_stdout)] // the results are this program's output
fn announce(line: &str) {
    println!("{line}");
}
