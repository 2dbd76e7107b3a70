//! Lists of jobs, however long: only so many are kept in memory.

use std::io::Write;

use anyhow::{Context, Result};
use clap::ValueEnum;
use jiff::Timestamp;

use crate::table::Layout;

use super::job::{Job, distance};

/// Up to so many are sorted by when they begin; the rest come as they are stored.
const SORTED: usize = 10_000;

const SHORT: [&str; 4] = ["NAME", "BEGIN", "COUNT", "LAST TRIGGER"];
const WIDE: [&str; 10] = [
    "NAMESPACE",
    "NAME",
    "BEGIN",
    "EXPIRATION",
    "SCHEDULE",
    "DUE TIME",
    "TTL",
    "REPEATS",
    "COUNT",
    "LAST TRIGGER",
];

/// How jobs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Short,
    Wide,
    Yaml,
    Json,
}

/// Takes jobs one at a time and prints them.
pub(crate) struct Printer<W> {
    format: Format,
    now: Timestamp,
    out: W,
    /// Jobs that are not printed yet; there are none once printing has begun.
    kept: Vec<Job>,
    layout: Option<Layout>,
    printed: usize,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(format: Format, now: Timestamp, out: W) -> Self {
        Self {
            format,
            now,
            out,
            kept: Vec::new(),
            layout: None,
            printed: 0,
        }
    }

    pub(crate) fn push(&mut self, job: Job) -> Result<()> {
        if self.printed > 0 {
            return self.print(&job);
        }
        self.kept.push(job);
        if self.kept.len() > SORTED {
            self.begin(true)?;
        }
        Ok(())
    }

    /// Prints the rest, and returns how many there were.
    pub(crate) fn finish(mut self) -> Result<usize> {
        if self.printed == 0 {
            let key = |job: &Job| (job.begin, job.name.clone());
            self.kept.sort_by_cached_key(key);
            self.begin(false)?;
        }
        if self.format == Format::Json {
            let end: &[u8] = if self.printed == 0 { b"[]\n" } else { b"\n]\n" };
            self.out.write_all(end)?;
        } else if self.format == Format::Yaml && self.printed == 0 {
            self.out.write_all(b"[]\n")?;
        }
        self.out.flush()?;
        Ok(self.printed)
    }

    /// Prints what was kept. If more follow, a column that is empty so far may not stay so.
    fn begin(&mut self, more_follow: bool) -> Result<()> {
        let kept = std::mem::take(&mut self.kept);
        let columns: &[&str] = match self.format {
            Format::Short => &SHORT,
            Format::Wide => &WIDE,
            Format::Yaml | Format::Json => &[],
        };
        if !columns.is_empty() && !kept.is_empty() {
            let rows: Vec<Vec<String>> = kept.iter().map(|job| self.row(job)).collect();
            let layout = Layout::of(columns, &rows, more_follow);
            self.out.write_all(layout.header(columns).as_bytes())?;
            self.layout = Some(layout);
        }
        kept.iter().try_for_each(|job| self.print(job))
    }

    fn print(&mut self, job: &Job) -> Result<()> {
        let text = match self.format {
            Format::Short | Format::Wide => {
                let row = self.row(job);
                self.layout.as_ref().map(|layout| layout.line(&row))
            }
            Format::Yaml => Some(serde_saphyr::to_string(&[job]).context("cannot write YAML")?),
            Format::Json => {
                let item = serde_json::to_string_pretty(job).context("cannot write JSON")?;
                let before = if self.printed == 0 { "[\n" } else { ",\n" };
                let item = item.replace('\n', "\n  ");
                Some(format!("{before}  {item}"))
            }
        };
        self.out.write_all(text.unwrap_or_default().as_bytes())?;
        self.printed += 1;
        Ok(())
    }

    fn row(&self, job: &Job) -> Vec<String> {
        let count = job.count.to_string();
        let last_trigger = second(job.last_trigger);
        if self.format == Format::Short {
            let begin = job.begin.map(|at| distance(at, self.now));
            let name = job.name.clone();
            return vec![name, begin.unwrap_or_default(), count, last_trigger];
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            job.namespace.clone(),
            job.name.clone(),
            second(job.begin),
            second(job.expiration),
            text(&job.schedule),
            text(&job.due_time),
            text(&job.ttl),
            job.repeats
                .map(|count| count.to_string())
                .unwrap_or_default(),
            count,
            last_trigger,
        ]
    }
}

/// A moment without the fraction of its second.
fn second(at: Option<Timestamp>) -> String {
    let whole = at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    whole.map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::key::Kind;
    use super::*;

    fn job(name: &str, begin: &str) -> Job {
        Job {
            kind: Kind::App,
            namespace: "default".to_owned(),
            name: name.to_owned(),
            begin: Some(begin.parse().expect("a moment")),
            expiration: None,
            schedule: None,
            due_time: None,
            ttl: None,
            repeats: None,
            count: 0,
            last_trigger: None,
        }
    }

    fn printed(format: Format, jobs: Vec<Job>) -> String {
        let now = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let mut out = Vec::new();
        let mut printer = Printer::new(format, now, &mut out);
        for job in jobs {
            printer.push(job).expect("printed");
        }
        printer.finish().expect("printed");
        String::from_utf8(out).expect("text")
    }

    fn two() -> Vec<Job> {
        let mut ran = job("app/a/ran", "2025-12-31T23:59:56.11Z");
        ran.schedule = Some("@every 100m".to_owned());
        ran.expiration = Some("2026-01-01T03:00:00Z".parse().expect("a moment"));
        ran.repeats = Some(5);
        ran.count = 1;
        ran.last_trigger = ran.begin;
        vec![job("workflow/a/i/timer-0", "2026-01-03T02:00:00Z"), ran]
    }

    #[test]
    fn short_and_wide_are_tables_sorted_by_begin() {
        assert_eq!(
            printed(Format::Short, two()),
            "  NAME                  BEGIN   COUNT  LAST TRIGGER\n\
             \x20 app/a/ran             -3.89s  1      2025-12-31T23:59:56Z\n\
             \x20 workflow/a/i/timer-0  +50.0h  0\n"
        );
        let wide = printed(Format::Wide, two());
        let headers: Vec<&str> = wide
            .lines()
            .next()
            .expect("a header")
            .split_whitespace()
            .collect();
        // Columns without any value are left out.
        let expected = "NAMESPACE NAME BEGIN EXPIRATION SCHEDULE REPEATS COUNT LAST TRIGGER";
        assert_eq!(headers.join(" "), expected);
        assert!(wide.contains("2025-12-31T23:59:56Z  2026-01-01T03:00:00Z  @every 100m  5"));
    }

    #[test]
    fn json_and_yaml_are_lists_of_all_that_is_known() {
        let text = printed(Format::Json, two());
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let expected = serde_json::json!([
            {
                "namespace": "default", "name": "app/a/ran", "begin": "2025-12-31T23:59:56.11Z",
                "expiration": "2026-01-01T03:00:00Z", "schedule": "@every 100m", "repeats": 5,
                "count": 1, "lastTrigger": "2025-12-31T23:59:56.11Z"
            },
            {
                "namespace": "default", "name": "workflow/a/i/timer-0",
                "begin": "2026-01-03T02:00:00Z", "count": 0
            },
        ]);
        assert_eq!(value, expected);
        assert!(
            text.starts_with("[\n  {\n    \"namespace\": \"default\",\n"),
            "{text}"
        );
        assert!(text.ends_with("    \"count\": 0\n  }\n]\n"), "{text}");
        let yaml: serde_json::Value =
            serde_saphyr::from_str(&printed(Format::Yaml, two())).expect("YAML");
        assert_eq!(yaml, expected);
        assert_eq!(printed(Format::Json, vec![]), "[]\n");
        assert_eq!(printed(Format::Yaml, vec![]), "[]\n");
        assert_eq!(printed(Format::Short, vec![]), "");
    }

    #[test]
    fn more_than_can_be_sorted_are_printed_as_they_come() {
        let count = SORTED + 100;
        let name = |n: usize| format!("app/a/{n:05}");
        let jobs = || {
            (0..count)
                .map(|n| job(&name(n), "2026-01-01T00:00:01Z"))
                .rev()
        };
        let text = printed(Format::Short, jobs().collect());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), count + 1);
        // A column that is empty so far stays, as nobody knows what follows.
        assert!(lines[0].ends_with("COUNT  LAST TRIGGER"), "{}", lines[0]);
        assert!(lines[1].contains(&name(count - 1)) && lines[count].contains(&name(0)));
        let text = printed(Format::Json, jobs().collect());
        let value: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.len(), count);
    }
}
