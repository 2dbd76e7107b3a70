//! `dapr list`: the sidecars that run on this machine.

use anyhow::Result;

use crate::{
    command,
    instances::{self, Instance},
    output::{self, Report},
    table::{self, Format},
};

const EXAMPLES: &str = "\
Examples:
  dapr list
  dapr list -o json
  dapr list -o json | jq -r '.[] | select(.appId == \"orders\") | .httpPort'";

const COLUMNS: [&str; 13] = [
    "APP ID",
    "HTTP PORT",
    "GRPC PORT",
    "APP PORT",
    "COMMAND",
    "AGE",
    "CREATED",
    "DAPRD PID",
    "CLI PID",
    "APP PID",
    "RUN_TEMPLATE_PATH",
    "APP_LOG_PATH",
    "DAPRD_LOG_PATH",
];

/// Longer commands are cut, so that a row fits a line.
const COMMAND_WIDTH: usize = 20;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
    #[arg(short = 'A', long, hide = true)]
    all_namespaces: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    namespace: Option<String>,
}

pub(crate) async fn execute(args: &Args, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("list"));
    }
    if args.all_namespaces || args.namespace.is_some() {
        report.warning("namespaces are a matter of Kubernetes; all sidecars here are listed");
    }
    let found = instances::all().await?;
    if found.is_empty() && matches!(args.output, Format::Table) {
        output::print("No Dapr instances found.\n");
        return Ok(0);
    }
    output::print(&table::render(args.output, &found, &COLUMNS, row)?);
    Ok(0)
}

fn row(instance: &Instance) -> Vec<String> {
    vec![
        instance.app_id.clone(),
        instance.http_port.to_string(),
        instance.grpc_port.to_string(),
        instance.app_port.to_string(),
        shorten(&instance.command),
        instance.age.clone(),
        instance.created.clone(),
        instance.daprd_pid.to_string(),
        instance.cli_pid.to_string(),
        instance.app_pid.to_string(),
        instance.run_template_path.clone(),
        instance.app_log_path.clone(),
        instance.daprd_log_path.clone(),
    ]
}

fn shorten(command: &str) -> String {
    if command.chars().count() <= COMMAND_WIDTH {
        return command.to_owned();
    }
    let kept: String = command.chars().take(COMMAND_WIDTH - 3).collect();
    kept + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_to_twenty_characters() {
        assert_eq!(shorten("node app.js"), "node app.js");
        assert_eq!(shorten("/usr/bin/python3 orders.py").chars().count(), 20);
    }
}
