//! `dapr status`: whether the services of this machine run and are well.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    age, command, health,
    home::Home,
    output::{self, Report},
    services::{self, Record, Service},
    table::{self, Format},
};

const EXAMPLES: &str = "\
Examples:
  dapr status
  dapr status -o json

These are the services that `dapr init` starts and, with names that end in -mtls, those that
`dapr run --mtls` has started; `dapr list` shows the sidecars.";

const COLUMNS: [&str; 8] = [
    "NAME", "HEALTHY", "STATUS", "PORT", "PID", "AGE", "CREATED", "LOG",
];

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    healthy: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    age: String,
    created: String,
    log: String,
}

pub(crate) async fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("status"));
    }
    let mut rows = Vec::new();
    for service in services::PLAIN {
        rows.push(look(service, Record::read(home, service)).await);
    }
    for service in services::SECURED {
        // Who never asked for them is not told of them.
        if let Some(record) = Record::read(home, service) {
            rows.push(look(service, Some(record)).await);
        }
    }
    let cells = |row: &Row| {
        vec![
            row.name.to_owned(),
            if row.healthy { "True" } else { "False" }.to_owned(),
            row.status.to_owned(),
            row.port.map(|port| port.to_string()).unwrap_or_default(),
            row.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            row.age.clone(),
            row.created.clone(),
            row.log.clone(),
        ]
    };
    output::print(&table::render(args.output, &rows, &COLUMNS, cells)?);
    if matches!(args.output, Format::Table) {
        let (plain, secured) = rows.split_at(services::PLAIN.len());
        let stopped = |rows: &[Row]| rows.iter().any(|row| row.pid.is_none());
        if stopped(plain) {
            report.info("`dapr init` starts what is stopped");
        }
        if stopped(secured) {
            report.info("the next `dapr run --mtls` starts what is stopped and ends in -mtls");
        }
        if rows.iter().any(|row| row.pid.is_some() && !row.healthy) {
            report.info("the log of a service says why it is not well");
        }
    }
    Ok(0)
}

async fn look(service: &Service, record: Option<Record>) -> Row {
    // The log of one that has ended is of interest all the more.
    let log = record
        .as_ref()
        .map(|record| record.log.display().to_string());
    match record.filter(|record| record.runs()) {
        Some(record) => Row {
            name: service.name,
            healthy: health::is_healthy(service.health_port(&record)).await,
            status: "Running",
            port: Some(service.main_port(&record)),
            pid: Some(record.pid),
            age: age::age(record.started(), Timestamp::now()),
            created: age::created(record.started()),
            log: log.unwrap_or_default(),
        },
        None => Row {
            name: service.name,
            healthy: false,
            status: "Stopped",
            port: None,
            pid: None,
            age: String::new(),
            created: String::new(),
            log: log.unwrap_or_default(),
        },
    }
}
