//! What the kernel knows about a process, and when one begins to answer.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use testkit::{DEADLINE, Http, Process};
use tokio::time::{Instant, sleep};

/// Waits for the first such answer with a pause that does not blur a start.
pub(super) async fn answers(
    process: &Process,
    port: u16,
    path: &str,
    status: u16,
) -> anyhow::Result<()> {
    let client = Http::port(port);
    let end = Instant::now() + DEADLINE;
    loop {
        let reply = client.get(path).await;
        if reply.is_ok_and(|reply| reply.status == status) {
            return Ok(());
        }
        let output = || process.output();
        ensure!(
            Instant::now() < end,
            "{path} is never {status}:\n{}",
            output()
        );
        sleep(Duration::from_micros(200)).await;
    }
}

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
