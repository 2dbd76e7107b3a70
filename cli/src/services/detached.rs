//! Starting a program so that nothing ties it to this tool or its terminal.
//!
//! The tool starts itself with a hidden command, which leaves the session and then becomes the
//! program: a child can only do that for itself.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result};
use close_fds::CloseFdsBuilder;

/// The hidden command.
pub(crate) const COMMAND: &str = "detached";
const FIRST_AFTER_STDERR: i32 = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Starts the program in `folder` with more variables; what it writes goes to the file `log`,
/// which is made anew, the one of the last time being kept as `.old`.
pub(super) fn spawn(
    program: &Path,
    arguments: &[OsString],
    variables: &[(&str, &str)],
    folder: &Path,
    log: &Path,
) -> Result<tokio::process::Child> {
    let this = std::env::current_exe().context("cannot find this tool's own program")?;
    let output = open_log(log).with_context(|| format!("cannot create {}", log.display()))?;
    tokio::process::Command::new(this)
        .arg(COMMAND)
        .arg(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.exists() {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    // Appending, so that two descriptors do not overwrite each other.
    File::options().create(true).append(true).open(path)
}

/// The hidden command itself; returns only when the program cannot be started.
pub(crate) fn execute(args: &Args) -> Result<u8> {
    rustix::process::setsid().context("cannot leave the session")?;
    // Whatever this tool was given open, a lock or a pipe that somebody waits for the end of.
    CloseFdsBuilder::new().cloexecfrom(FIRST_AFTER_STDERR);
    let error = std::process::Command::new(&args.program)
        .args(&args.arguments)
        .exec();
    Err(error).with_context(|| format!("cannot start {}", args.program.display()))
}
