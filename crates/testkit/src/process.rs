//! Child processes: start, read their output, end them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::eventually;

/// The path of one of the workspace's programs.
///
/// It lies beside the running test's own target directory, or in the folder
/// that `DAPR_BIN_DIR` names.
///
/// # Errors
/// When the program is not built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("DAPR_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            // <target>/<profile>/deps/<test> or <target>/<profile>/<program>
            let own = std::env::current_exe().context("cannot find this program's own path")?;
            let parent = own.parent().unwrap_or(Path::new("."));
            match parent.file_name() {
                Some(name) if name == "deps" => parent.parent().unwrap_or(parent).to_owned(),
                _ => parent.to_owned(),
            }
        }
    };
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "{} is not built; run `make build`",
        path.display()
    );
    Ok(path)
}

/// The path of a program that is installed on this machine, if it is.
///
/// Besides `PATH` it looks where Debian keeps PostgreSQL's server programs.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin").join(name))
        .collect();
    versions.sort();
    on_path
        .chain(versions.into_iter().rev())
        .find(|candidate| candidate.is_file())
}

/// What a process is started with.
///
/// Its environment holds `PATH`, a fresh folder as `HOME` and what is added
/// here, so that no test depends on the caller's variables.
#[derive(Debug, Clone)]
pub struct ProcessBuilder {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    inherit: bool,
    folder: Option<PathBuf>,
}

impl ProcessBuilder {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Passes the caller's whole environment on: package managers need it.
    #[must_use]
    pub fn inherit_env(mut self) -> Self {
        self.inherit = true;
        self
    }

    /// Sets the working directory; without it the process has a fresh one.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts the process inside a tokio runtime.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(self) -> anyhow::Result<Process> {
        let home = tempfile::tempdir().context("cannot make a folder for the process")?;
        let log = home.path().join("output.log");
        let output = File::create(&log).context("cannot make the log of the process")?;
        let mut command = Command::new(&self.program);
        if !self.inherit {
            command.env_clear().env("HOME", home.path());
            if let Some(path) = std::env::var_os("PATH") {
                command.env("PATH", path);
            }
        }
        let child = command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.as_deref().unwrap_or(home.path()))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let name = self
            .program
            .file_name()
            .unwrap_or(self.program.as_os_str())
            .to_string_lossy()
            .into_owned();
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .with_context(|| format!("{name} ended at once"))?;
        Ok(Process {
            name,
            child,
            pid,
            log,
            _home: home,
        })
    }
}

/// A running child process; it is killed when the value is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
    _home: TempDir,
}

impl Process {
    /// What to start: a path, or a name that is looked up in `PATH`.
    pub fn builder(program: impl Into<PathBuf>) -> ProcessBuilder {
        ProcessBuilder {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            inherit: false,
            folder: None,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Everything it has written so far to standard output and error.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines of its output that contain `part`.
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        let output = self.output();
        let lines = output.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// Waits until a line of its output contains `part`, and returns the line.
    ///
    /// # Panics
    /// When no such line comes within the deadline.
    #[track_caller]
    pub fn wait_line(&self, part: &str, within: Duration) -> impl Future<Output = String> {
        eventually(within, async move || {
            let line = self.lines_with(part).into_iter().next();
            line.with_context(|| {
                let output = self.output();
                format!("{} wrote no line with {part:?}:\n{output}", self.name)
            })
        })
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            // It may end between the question and the signal.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits for the end and returns the exit status.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub async fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!(
                "{} still runs after {within:?}:\n{}",
                self.name,
                self.output()
            ),
        }
    }

    /// Waits for the end and returns the exit code, -1 for a signal.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub async fn exit_code(&mut self, within: Duration) -> anyhow::Result<i32> {
        Ok(self.wait(within).await?.code().unwrap_or(-1))
    }

    /// Sends SIGTERM and returns the exit code.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub async fn stop(&mut self, within: Duration) -> anyhow::Result<i32> {
        self.signal(Signal::TERM);
        self.exit_code(within).await
    }

    /// Ends it with SIGKILL, as a crash does, and waits until it is gone.
    ///
    /// # Errors
    /// When the kernel does not let it go.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL);
        self.wait(crate::DEADLINE).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DEADLINE;

    fn shell(script: &str) -> Process {
        let builder = Process::builder("/bin/sh").args(["-c", script]);
        builder.env("WORD", "hello").start().unwrap()
    }

    #[tokio::test]
    async fn both_outputs_and_the_exit_code_are_seen() {
        let mut process = shell("echo $WORD; echo error >&2; exit 3");
        assert_eq!(process.exit_code(DEADLINE).await.unwrap(), 3);
        assert_eq!(process.output(), "hello\nerror\n");
    }

    #[tokio::test]
    async fn sigterm_can_be_handled_and_sigkill_cannot() {
        let script = "trap 'exit 7' TERM; echo ready; while :; do read -t 1 x </dev/zero; done";
        let bash = || {
            let builder = Process::builder("/bin/bash").args(["-c", script]);
            builder.start().unwrap()
        };
        let mut process = bash();
        process.wait_line("ready", DEADLINE).await;
        assert_eq!(process.stop(DEADLINE).await.unwrap(), 7);
        let mut process = bash();
        process.wait_line("ready", DEADLINE).await;
        process.kill().await.unwrap();
        assert!(!process.is_running());
    }

    #[tokio::test]
    async fn the_callers_variables_stay_out() {
        let mut process = shell("env | grep -c CARGO_");
        process.wait(DEADLINE).await.unwrap();
        assert_eq!(process.output().trim(), "0");
    }

    #[test]
    fn installed_programs_are_found_by_name() {
        assert!(program("sh").is_some());
        assert!(program("no-such-program").is_none());
    }
}
