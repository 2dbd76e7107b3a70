//! Starts the services, waits until they are well, and says what is wrong when they are not.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::Child;

use crate::{health, home::Home, output::Report, run::ports::Ports};

use super::{ALL, Choice, Record, Service, detached, doors, stop};

/// How long a service may take until it is well.
const START: Duration = Duration::from_secs(30);
/// Its services are for this machine.
const HOST: &str = "127.0.0.1";
/// How much of a log is shown when a service does not start.
const SHOWN_LINES: usize = 8;
const SHOWN_BYTES: u64 = 4 << 10;

/// Sees to it that all services that are installed run and are well. `broadcast` is where
/// sidecars are told to find the scheduler; by default on this machine.
///
/// Nothing is started unless all ports are free.
pub(crate) async fn start(
    home: &Home,
    choices: &[Choice],
    broadcast: Option<&str>,
    report: Report,
) -> Result<()> {
    let mut ports = Ports::default();
    let mut running = Vec::new();
    let mut planned = Vec::new();
    for service in ALL {
        let last = Record::read(home, service);
        match last {
            Some(record) if record.runs() => {
                doors::check_running(service, &record, choices)?;
                running.push((service, record, None));
            }
            _ if !home.bin().join(service.name).is_file() => report.warning(format_args!(
                "{name} is not there, so {serves} will not work; put it beside this tool and \
                 init again",
                name = service.name,
                serves = service.serves
            )),
            last => {
                let ports = doors::assign(service, choices, last.as_ref(), &mut ports)?;
                planned.push((service, ports));
            }
        }
    }
    // From here on the services may have them.
    drop(ports);
    for (service, ports) in planned {
        let program = home.bin().join(service.name);
        let log = home.logs().join(format!("{}.log", service.name));
        let arguments = arguments(home, service, &ports, broadcast);
        let child = detached::spawn(&program, &arguments, home.root(), &log)?;
        let pid = child.id().context("it has ended at once")?;
        let record = Record::new(pid, &arguments, ports, log)?;
        record.write(home, service)?;
        running.push((service, record, Some(child)));
    }
    for (service, record, child) in running {
        let new = child.is_some();
        if let Err(error) = well(service, &record, child).await {
            if new {
                stop::stop_one(home, service).await?;
            }
            return Err(error);
        }
        report.info(format_args!(
            "{name} {runs} on port {port}, process {pid}, log {log}",
            name = service.name,
            runs = if new { "runs" } else { "runs already" },
            port = service.main_port(&record),
            pid = record.pid,
            log = record.log.display()
        ));
    }
    Ok(())
}

fn arguments(
    home: &Home,
    service: &Service,
    ports: &std::collections::BTreeMap<String, u16>,
    broadcast: Option<&str>,
) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |flag: &str, value: OsString| {
        arguments.extend([OsString::from(format!("--{flag}")), value]);
    };
    push("listen-address", HOST.into());
    for door in service.doors {
        push(door.flag, ports[door.name].to_string().into());
    }
    if service.name == super::SCHEDULER.name {
        let local = || format!("localhost:{}", ports[service.name]);
        let broadcast = broadcast.map_or_else(local, str::to_owned);
        push("override-broadcast-host-port", broadcast.into());
        push("etcd-data-dir", home.scheduler_data().into());
    }
    arguments
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
    fn a_service_is_told_its_ports_and_where_its_data_is() {
        let home = Home::below(Path::new("/home/ann")).expect("usable");
        let check = |service: &Service, broadcast: Option<&str>, expected: &str| {
            let ports = service.doors.iter();
            let ports = ports
                .map(|door| (door.name.to_owned(), door.port))
                .collect();
            let arguments = arguments(&home, service, &ports, broadcast);
            assert_eq!(arguments.join(std::ffi::OsStr::new(" ")), expected);
        };
        check(
            ALL[0],
            None,
            "--listen-address 127.0.0.1 --port 50005 --healthz-port 58080 --metrics-port 59090",
        );
        let scheduler = "--listen-address 127.0.0.1 --port 50006 --healthz-port 58081 \
                         --metrics-port 59091 --etcd-client-port 2379 \
                         --override-broadcast-host-port";
        let data = "--etcd-data-dir /home/ann/.dapr/data/scheduler";
        check(ALL[1], None, &format!("{scheduler} localhost:50006 {data}"));
        let elsewhere = format!("{scheduler} 10.0.0.1:9 {data}");
        check(ALL[1], Some("10.0.0.1:9"), &elsewhere);
    }

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
