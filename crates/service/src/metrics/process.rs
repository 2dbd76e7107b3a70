//! The process's own metrics under Prometheus' standard names, from `/proc`.

use std::fs;

use super::number;
use super::registry::push_head;

/// Clock ticks per second in `/proc`; Linux fixes it for user space.
const TICKS: f64 = 100.0;

/// Appends what can be read; on a system without `/proc` that is nothing.
pub(super) fn render(out: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    // Entries that vanish while they are counted do not matter.
    let open = fs::read_dir("/proc/self/fd")
        .map(|entries| entries.count() as f64)
        .ok();

    let cpu = || Some((stat_field(&stat, 14)? + stat_field(&stat, 15)?) / TICKS);
    let start = || Some(boot_time(&system)? + stat_field(&stat, 22)? / TICKS);
    let rows = [
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            cpu(),
        ),
        (
            "process_max_fds",
            "gauge",
            "Maximum number of open file descriptors.",
            max_open(&limits),
        ),
        (
            "process_open_fds",
            "gauge",
            "Number of open file descriptors.",
            open,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            kilobytes(&status, "VmRSS:"),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            start(),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            kilobytes(&status, "VmSize:"),
        ),
    ];
    for (name, kind, help, value) in rows {
        let Some(value) = value else { continue };
        push_head(out, name, help, kind);
        out.push_str(name);
        out.push(' ');
        number::push(out, value);
        out.push('\n');
    }
}

/// A field of `/proc/self/stat` by its documented number. The second one, the
/// program's name in parentheses, can hold blanks, so counting starts after it.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn boot_time(system: &str) -> Option<f64> {
    system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn max_open(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        limit => limit.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_programs_name() {
        let stat = "42 (odd ) name) S 1 2 3 4 5 6 7 8 9 10 150 50 16 17 18 19 20 21 7000 23";
        assert_eq!(stat_field(stat, 14), Some(150.0));
        assert_eq!(stat_field(stat, 15), Some(50.0));
        assert_eq!(stat_field(stat, 22), Some(7000.0));
        assert_eq!(stat_field("", 14), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let mut out = String::new();
        render(&mut out);
        for name in [
            "cpu_seconds_total",
            "max_fds",
            "open_fds",
            "resident_memory_bytes",
            "start_time_seconds",
            "virtual_memory_bytes",
        ] {
            assert!(
                out.contains(&format!("\nprocess_{name} ")),
                "{name} is missing in {out}"
            );
        }
    }
}
