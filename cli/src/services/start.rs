//! Starts the services, waits until they are well, and says what is wrong when they are not.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::Child;

use crate::{health, home::Home, output::Report, run::ports::Ports};

use super::{Choice, Record, Service, detached, doors, stop};

/// How long a service may take until it is well.
const START: Duration = Duration::from_secs(30);
/// The services are for this machine.
pub(super) const HOST: &str = "127.0.0.1";
/// How much of a log is shown when a service does not start.
const SHOWN_LINES: usize = 8;
const SHOWN_BYTES: u64 = 4 << 10;

/// The ports of a service by the names of its doors.
pub(super) type Assigned = BTreeMap<String, u16>;

/// How the services of a group are started.
pub(super) struct Group<'a> {
    pub(super) services: &'a [&'static Service],
    /// Ports that a user has chosen.
    pub(super) choices: &'a [Choice],
    /// What a service is told beside its ports.
    pub(super) arguments: &'a dyn Fn(&Service, &Assigned) -> Vec<OsString>,
    /// Variables that all of them get.
    pub(super) variables: &'a [(&'static str, &'static str)],
}

/// A service that runs and is well.
pub(super) struct Up {
    pub(super) service: &'static Service,
    pub(super) record: Record,
    /// Whether it was started just now.
    pub(super) new: bool,
}

/// Sees to it that all services of a group that are installed run and are well. The caller
/// holds the lock of the folder.
///
/// Nothing is started unless all ports are free.
pub(super) async fn start(home: &Home, group: &Group<'_>, report: Report) -> Result<Vec<Up>> {
    let mut ports = Ports::default();
    let mut running = Vec::new();
    let mut planned = Vec::new();
    for &service in group.services {
        let last = Record::read(home, service);
        match (last, home.program(service.program)) {
            (Some(record), _) if record.runs() => {
                doors::check_running(service, &record, group.choices)?;
                running.push((service, record, None));
            }
            (_, Err(_)) => report.warning(format_args!(
                "{name} is not there, so {serves} will not work; put it beside this tool and \
                 init again",
                name = service.program,
                serves = service.serves
            )),
            (last, Ok(program)) => {
                let ports = doors::assign(service, group.choices, last.as_ref(), &mut ports)?;
                planned.push((service, program, ports));
            }
        }
    }
    // From here on the services may have them.
    drop(ports);
    for (service, program, ports) in planned {
        let log = home.logs().join(format!("{}.log", service.name));
        let arguments = arguments(service, &ports, (group.arguments)(service, &ports));
        let child = detached::spawn(&program, &arguments, group.variables, home.root(), &log)?;
        let pid = child.id().context("it has ended at once")?;
        let record = Record::new(pid, &arguments, ports, log)?;
        record.write(home, service)?;
        running.push((service, record, Some(child)));
    }
    let mut up = Vec::new();
    for (service, record, child) in running {
        let new = child.is_some();
        if let Err(error) = well(service, &record, child).await {
            if new {
                stop::stop_one(home, service).await?;
            }
            return Err(error);
        }
        up.push(Up {
            service,
            record,
            new,
        });
    }
    Ok(up)
}

impl Up {
    pub(super) fn tell(&self, report: Report) {
        let (service, record) = (self.service, &self.record);
        report.info(format_args!(
            "{name} {runs} on port {port}, process {pid}, log {log}",
            name = service.name,
            runs = if self.new { "runs" } else { "runs already" },
            port = service.main_port(record),
            pid = record.pid,
            log = record.log.display()
        ));
    }
}

/// Its address and ports, then what else it is told.
fn arguments(service: &Service, ports: &Assigned, more: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = flag("listen-address", HOST);
    for door in service.doors {
        arguments.extend(flag(door.flag, ports[door.name].to_string()));
    }
    arguments.extend(more);
    arguments
}

/// A flag and its value.
pub(super) fn flag(name: &str, value: impl Into<OsString>) -> Vec<OsString> {
    vec![format!("--{name}").into(), value.into()]
}

/// Waits until a service is well. The error says why it is not, as far as that is known.
async fn well(service: &Service, record: &Record, child: Option<Child>) -> Result<()> {
    let name = service.name;
    let ended = async {
        match child {
            Some(mut child) => child.wait().await,
            None => std::future::pending().await,
        }
    };
    let problem = tokio::select! {
        () = health::until_healthy(service.health_port(record)) => return Ok(()),
        status = ended => match status {
            Ok(status) => format!("{name} ended at its start, {status}"),
            Err(error) => format!("{name} ended at its start: {error}"),
        },
        () = tokio::time::sleep(START) => {
            format!("{name} is not well after {} s", START.as_secs())
        }
    };
    bail!(
        "{problem}; these are the last lines of its log {}:\n{}",
        record.log.display(),
        last_lines(&record.log)
    )
}

fn last_lines(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.len().saturating_sub(SHOWN_LINES);
    lines[shown..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("placement.log");
        let lines: Vec<String> = (0..10_000).map(|n| format!("line {n}")).collect();
        std::fs::write(&log, lines.join("\n")).expect("written");
        let shown = last_lines(&log);
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 9999"), "{shown}");
        assert_eq!(last_lines(&folder.path().join("none")), "");
    }
}
