//! The dapr command line tool: installs Dapr on this machine, runs applications with their
//! sidecars, and talks to the ones that run.

mod age;
mod api;
mod authority;
mod build_info;
mod bundle;
mod command;
mod completion;
mod flags;
mod health;
mod home;
mod init;
mod inspect;
mod instances;
mod invoke;
mod list;
mod lock;
mod logs;
mod mtls;
mod output;
mod publish;
mod run;
mod scheduler;
mod services;
mod status;
mod stop;
mod table;
mod uninstall;
mod version;

use std::{ffi::OsString, process::ExitCode};

use clap::FromArgMatches;

use crate::{command::Cli, output::Report};

/// What a command line that cannot be understood ends with, as upstream's tool does.
const USAGE_EXIT_CODE: u8 = 255;

/// Runs the tool with the given arguments and returns its exit code.
///
/// 0 is success, 1 a command that failed, 255 a command line that makes no sense; `dapr run`
/// passes on the exit code of the application.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command::build().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let report = Report::new(cli.log_as_json);
    // One thread is plenty: the tool waits for processes and moves their lines.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            report.failure(format_args!("cannot start the event loop: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(command::execute(cli, &matches, report)) {
        Ok(code) => code,
        Err(error) => {
            report.failure(format_args!("{error:#}"));
            1
        }
    };
    // A console or a disk that is stuck must not keep the tool from ending.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Prints what clap has to say (help is no error) and returns the exit code for it.
fn usage(error: &clap::Error) -> u8 {
    if let Some(text) = command::missing_command(error) {
        Report::new(false).failure(text);
        return USAGE_EXIT_CODE;
    }
    // A closed pipe is the only way this fails, and then nobody reads.
    let _ = error.print();
    if error.use_stderr() {
        USAGE_EXIT_CODE
    } else {
        0
    }
}
