//! Ends the services that this tool has started, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::{home::Home, output::Report};

use super::{PLAIN, Record, SECURED, Service};

/// A little more than the services give themselves.
const GRACE: Duration = Duration::from_secs(10);
/// After a signal that cannot be ignored.
const KILLED: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Ends all of them, and forgets them.
pub(crate) async fn stop(home: &Home, report: Report) -> Result<()> {
    stop_all(home, &SECURED, report).await?;
    stop_all(home, &PLAIN, report).await
}

pub(super) async fn stop_all(home: &Home, services: &[&Service], report: Report) -> Result<()> {
    for service in services.iter().rev() {
        if let Some(pid) = stop_one(home, service).await? {
            report.info(format_args!("Stopped {}, process {pid}", service.name));
        }
    }
    Ok(())
}

/// Ends one and forgets it; the id of its process, if it ran.
pub(super) async fn stop_one(home: &Home, service: &Service) -> Result<Option<u32>> {
    let Some(record) = Record::read(home, service) else {
        return Ok(None);
    };
    let ran = record.runs();
    if ran {
        signal(&record, Signal::TERM)?;
        if !ends(&record, GRACE).await {
            signal(&record, Signal::KILL)?;
            if !ends(&record, KILLED).await {
                anyhow::bail!(
                    "{} (process {}) does not end; its log is {}",
                    service.name,
                    record.pid,
                    record.log.display()
                );
            }
        }
    }
    Record::remove(home, service)?;
    Ok(ran.then_some(record.pid))
}

async fn ends(record: &Record, within: Duration) -> bool {
    let gone = async {
        while record.runs() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(within, gone).await.is_ok()
}

fn signal(record: &Record, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(record.pid.cast_signed()).context("its process is unknown")?;
    match kill_process(pid, signal) {
        // It ended in the meantime, which is what was wanted.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.with_context(|| format!("cannot signal process {}", record.pid)),
    }
}
