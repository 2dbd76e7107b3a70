//! The commands, their order in the help, and which function carries each out.

use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    build_info, completion, home::Home, init, inspect, invoke, list, logs, mtls, output::Report,
    publish, run, scheduler, services::detached, status, stop, uninstall, version,
};

const EXAMPLES: &str = "\
Examples:
  dapr init                                                      set this machine up
  dapr run --app-id orders --app-port 8080 -- ./orders           an application and its sidecar
  dapr run -f .                                                  all applications of ./dapr.yaml
  dapr list                                                      what runs
  dapr invoke --app-id orders --method status --verb GET         call it
  dapr stop --app-id orders                                      end it

`dapr COMMAND --help` shows the flags and more examples of a command.";

#[derive(Parser)]
#[command(
    name = "dapr",
    about = "Run applications with Dapr sidecars on this machine",
    after_help = EXAMPLES,
    disable_version_flag = true,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    /// Print the versions of this tool and of the installed runtime
    #[arg(short = 'v', long)]
    version: bool,

    /// Write status lines as JSON, and have the sidecars log JSON too
    #[arg(long, global = true)]
    pub(crate) log_as_json: bool,

    /// Folder that holds the `.dapr` folder [env: DAPR_RUNTIME_PATH] [default: the home folder]
    #[arg(long, global = true, value_name = "DIR")]
    runtime_path: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Set this machine up: binaries, default resources, placement and scheduler
    Init(init::Args),
    /// Run an application with its sidecar, or all applications of a template file
    // Boxed because it has far more flags than the others.
    Run(Box<run::Args>),
    /// List the sidecars that run on this machine
    List(list::Args),
    /// Show whether placement and scheduler run on this machine and are well
    Status(status::Args),
    /// Stop applications and their sidecars
    Stop(stop::Args),
    /// Show the log files of an application that a template file started
    Logs(logs::Args),
    /// Call a method of an application
    Invoke(invoke::Args),
    /// Publish a message to a topic
    Publish(publish::Args),
    /// List the components that the running sidecars have loaded
    Components(inspect::Args),
    /// List the configurations that the running sidecars use
    Configurations(inspect::Args),
    /// Show, copy or renew the certificates of mutual TLS
    Mtls(mtls::Args),
    /// List, delete, save and restore the jobs and reminders of the scheduler
    #[command(visible_alias = "sched")]
    Scheduler(scheduler::Args),
    /// Print the versions of this tool and of the installed runtime
    Version(version::Args),
    /// Print how this tool and the installed runtime were built
    BuildInfo,
    /// Print a completion script for a shell
    Completion(completion::Args),
    /// Remove the binaries, or everything, from this machine
    Uninstall(uninstall::Args),
    #[command(name = detached::COMMAND, hide = true)]
    Detached(detached::Args),
}

/// Commands of upstream's tool that this one does not have, and what each needs.
const MISSING: [(&str, &str); 6] = [
    ("annotate", KUBERNETES),
    ("dashboard", "the dashboard"),
    ("mcpservers", "MCP servers"),
    ("upgrade", KUBERNETES),
    ("wf", "workflows"),
    ("workflow", "workflows"),
];
const KUBERNETES: &str = "Kubernetes";

/// The command line's definition.
pub(crate) fn build() -> clap::Command {
    Cli::command()
}

/// Carries out what was asked and returns the exit code.
pub(crate) async fn execute(cli: Cli, matches: &ArgMatches, report: Report) -> anyhow::Result<u8> {
    let home = Home::find(cli.runtime_path)?;
    if cli.version {
        return version::print(&home).await;
    }
    let Some(command) = cli.command else {
        build().print_help()?;
        return Ok(0);
    };
    match command {
        Command::Init(args) => init::execute(&args, &home, report).await,
        Command::Run(args) => {
            let given = run::given_flags(matches);
            run::execute(*args, &given, &home, report).await
        }
        Command::List(args) => list::execute(&args, report).await,
        Command::Status(args) => status::execute(&args, &home, report).await,
        Command::Stop(args) => stop::execute(&args, report).await,
        Command::Logs(args) => logs::execute(&args).await,
        Command::Invoke(args) => invoke::execute(&args, report).await,
        Command::Publish(args) => publish::execute(&args, report).await,
        Command::Components(args) => inspect::components(&args, report).await,
        Command::Configurations(args) => inspect::configurations(&args, &home, report).await,
        Command::Mtls(args) => mtls::execute(&args, &home, report).await,
        Command::Scheduler(args) => scheduler::execute(&args, &home, report).await,
        Command::Version(args) => version::execute(&args, &home).await,
        Command::BuildInfo => build_info::execute(&home).await,
        Command::Completion(args) => completion::execute(&args),
        Command::Uninstall(args) => uninstall::execute(&args, &home, report).await,
        Command::Detached(args) => detached::execute(&args),
    }
}

/// The refusal for `-k` on a command that also works without it.
pub(crate) fn no_kubernetes(command: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`dapr {command} -k` works on a Kubernetes cluster, which this version does not support \
         yet; leave -k out to work on this machine"
    )
}

/// What to say to a command that upstream has and this tool has not.
pub(crate) fn missing_command(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(asked)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (name, needs) = MISSING.iter().find(|(name, _)| name == asked)?;
    Some(format!(
        "`dapr {name}` needs {needs}, which this version does not support yet; \
         `dapr --help` lists what there is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        build().debug_assert();
    }

    #[test]
    fn a_known_but_missing_command_is_explained() {
        let check = |command: &str, expected: Option<&str>| {
            let error = build()
                .try_get_matches_from(["dapr", command])
                .expect_err("no such command");
            let text = missing_command(&error);
            assert_eq!(text.is_some(), expected.is_some(), "{command}: {text:?}");
            if let (Some(text), Some(part)) = (text, expected) {
                assert!(text.contains(part), "{command}: {text}");
            }
        };
        check("upgrade", Some("needs Kubernetes"));
        check("wf", Some("needs workflows"));
        check("lits", None);
    }
}
