//! `dapr run`: starts applications with their sidecars, shows their output, ends them together.

mod console;
mod group;
mod job;
mod logs;
mod mtls;
mod names;
mod plan;
pub(crate) mod ports;
pub(crate) mod quantity;
mod sentry;
mod spec;
mod supervise;
pub(crate) mod template;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{ArgMatches, Parser, parser::ValueSource};

use crate::{command, home::Home, output::Report};

use self::{mtls::Mtls, plan::Plan, spec::Spec};

const EXAMPLES: &str = "\
Examples:
  dapr run --app-id orders --app-port 8080 -- ./orders --verbose    a service and its sidecar
  dapr run --app-id client -- python3 client.py                     a program that only calls
  dapr run --app-id orders --app-port 8080                          a sidecar alone
  dapr run --app-id orders --resources-path ./resources -- ./orders resources of your own
  dapr run --app-id orders --mtls -- ./orders                       with mutual TLS to others
  dapr run -f dapr.yaml                                             all applications of a file

The application finds its sidecar through DAPR_HTTP_PORT and DAPR_GRPC_PORT, and what it was
given through APP_ID, APP_PORT, APP_PROTOCOL and APP_CHANNEL_ADDRESS. The exit code is the
application's own; after Ctrl-C or `dapr stop` it is 0.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    spec: Spec,

    /// Run all applications of this template file; a folder means its dapr.yaml, `-` stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    run_file: Option<PathBuf>,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
}

/// The flags of `run` that stand on the command line, by their long names.
pub(crate) fn given_flags(matches: &ArgMatches) -> Vec<String> {
    let Some((_, matches)) = matches.subcommand() else {
        return Vec::new();
    };
    matches
        .ids()
        .map(clap::Id::as_str)
        // clap also lists the groups that it makes of argument structs.
        .filter(|id| id.starts_with(char::is_lowercase))
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
        .map(|id| id.replace('_', "-"))
        .collect()
}

pub(crate) async fn execute(
    args: Args,
    given: &[String],
    home: &Home,
    report: Report,
) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("run"));
    }
    match &args.run_file {
        None => {
            let mut ports = ports::Ports::default();
            let (spec, level) = (std::slice::from_ref(&args.spec), &args.spec.log_level);
            let mtls = Mtls::prepare(spec, home, &mut ports, level, report).await?;
            let plan = Plan::new(args.spec, home, &mut ports, mtls.as_ref(), report.json())?;
            drop(ports);
            report.info(format_args!(
                "Starting Dapr with id {}. HTTP Port: {}. gRPC Port: {}",
                plan.app_id, plan.http_port, plan.grpc_port
            ));
            Ok(group::run(vec![plan], mtls.map(|mtls| mtls.sentry), report).await)
        }
        Some(file) => {
            let stays = ["run-file", "runtime-path", "log-as-json"];
            let ignored: Vec<String> = given
                .iter()
                .filter(|flag| !stays.contains(&flag.as_str()))
                .map(|flag| format!("--{flag}"))
                .collect();
            if !ignored.is_empty() {
                report.warning(format_args!(
                    "The following flags are ignored when --run-file flag is used: {}",
                    ignored.join(", ")
                ));
            }
            run_template(file, home, report).await
        }
    }
}

async fn run_template(file: &std::path::Path, home: &Home, report: Report) -> Result<u8> {
    let template = template::load(file)?;
    for key in &template.unknown_keys {
        report.warning(format_args!(
            "{}: {key} is not a known key",
            template.path.display()
        ));
    }
    if template.apps.is_empty() {
        bail!(
            "no apps to run in {}; list them under `apps:`",
            template.path.display()
        );
    }
    // The free ports of all applications are chosen before any is started, so they all differ.
    let mut ports = ports::Ports::default();
    // One Sentry is enough for all. Like their sidecars' logs, its log is not for the terminal,
    // but it has no file: only what is wrong is shown.
    let mtls = Mtls::prepare(&template.apps, home, &mut ports, "warn", report).await?;
    let mut plans = Vec::new();
    for mut app in template.apps {
        report.info(format_args!(
            "Validating config and starting app {:?}",
            app.app_id
        ));
        let home = match app.runtime_path.take() {
            Some(path) => Home::below(&path)?,
            None => home.clone(),
        };
        let plan = Plan::new(app, &home, &mut ports, mtls.as_ref(), report.json())?;
        if plan.command.is_empty() {
            report.warning(format_args!(
                "No application command found for app {:?} present in {}",
                plan.app_id,
                template.path.display()
            ));
        }
        plans.push(plan);
    }
    drop(ports);
    Ok(group::run(plans, mtls.map(|mtls| mtls.sentry), report).await)
}

/// What `dapr run` without any flag asks for; templates start from it.
fn default_spec() -> Spec {
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Defaults {
        #[command(flatten)]
        spec: Spec,
    }
    Defaults::parse_from(std::iter::empty::<&str>()).spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_flags_are_those_on_the_command_line() {
        let matches = command::build()
            .try_get_matches_from(["dapr", "run", "-f", ".", "-a", "x", "--log-level", "debug"])
            .expect("valid");
        let mut given = given_flags(&matches);
        given.sort();
        assert_eq!(given, ["app-id", "log-level", "run-file"]);
    }
}
