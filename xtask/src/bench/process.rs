//! What the kernel knows about a process.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Resident and proportional set size, in bytes.
pub(super) fn memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: Option<u64> = number.and_then(|number| number.parse().ok());
        kib.map(|kib| kib * 1024)
            .with_context(|| format!("smaps_rollup has no {name}"))
    };
    Ok((field("Rss:")?, field("Pss:")?))
}

/// CPU time of all threads that live now, in the scheduler's own nanoseconds.
pub(super) fn cpu(pids: &[u32]) -> anyhow::Result<Duration> {
    let mut total = 0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = thread?.path().join("schedstat");
            let text = fs::read_to_string(&path)?;
            let first = text.split_whitespace().next();
            let nanos: Option<u64> = first.and_then(|nanos| nanos.parse().ok());
            total += nanos.with_context(|| format!("{} is empty", path.display()))?;
        }
    }
    Ok(Duration::from_nanos(total))
}
