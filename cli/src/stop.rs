//! `dapr stop`: ends applications and their sidecars.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{
    command,
    instances::{self, Instance},
    output::Report,
    run::template,
};

/// How long `dapr run` may take to end its processes before it is killed, and they with it.
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples:
  dapr stop --app-id orders       one application and its sidecar
  dapr stop orders inventory      several
  dapr stop -f dapr.yaml          everything that `dapr run -f dapr.yaml` started";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application to stop
    #[arg(short, long, value_name = "ID")]
    app_id: Option<String>,

    /// Stop all applications of this template file or folder
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["app_id", "more"])]
    run_file: Option<PathBuf>,

    /// Applications to stop
    #[arg(value_name = "APP_ID")]
    more: Vec<String>,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
}

pub(crate) async fn execute(args: &Args, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("stop"));
    }
    if let Some(file) = &args.run_file {
        return stop_template(file, report).await;
    }
    let ids: Vec<&String> = args.app_id.iter().chain(&args.more).collect();
    if ids.is_empty() {
        bail!("nothing to stop; give an app id, or a template file with -f");
    }
    let running = instances::all().await?;
    let mut code = 0;
    for id in ids {
        match stop_app(id, &running).await {
            Ok(()) => report.success(format_args!("app stopped successfully: {id}")),
            Err(error) => {
                report.failure(format_args!("failed to stop app id {id}: {error:#}"));
                code = 1;
            }
        }
    }
    Ok(code)
}

async fn stop_app(id: &str, running: &[Instance]) -> Result<()> {
    let mut found = running
        .iter()
        .filter(|instance| instance.app_id == id)
        .peekable();
    if found.peek().is_none() {
        bail!("couldn't find app id {id}; `dapr list` shows what runs");
    }
    for instance in found {
        // `dapr run` ends its application when it or the sidecar is asked to. One that runs
        // several applications must not take the others down.
        let served = running
            .iter()
            .filter(|other| other.cli_pid == instance.cli_pid)
            .count();
        let target = if instance.cli_pid != 0 && served == 1 {
            instance.cli_pid
        } else {
            instance.daprd_pid
        };
        terminate(target)?;
        wait_until_gone(&[instance.daprd_pid]).await?;
    }
    Ok(())
}

async fn stop_template(file: &Path, report: Report) -> Result<u8> {
    let path = template::locate(file)?;
    let running = instances::all().await?;
    let found: Vec<&Instance> = running
        .iter()
        .filter(|instance| Path::new(&instance.run_template_path) == path)
        .collect();
    let Some(first) = found.first() else {
        bail!(
            "couldn't find apps with run file {}; `dapr list` shows what runs",
            path.display()
        );
    };
    let mut clis: Vec<i32> = found.iter().map(|instance| instance.cli_pid).collect();
    clis.sort_unstable();
    clis.dedup();
    for &cli in &clis {
        terminate(cli).with_context(|| format!("cannot stop {}", first.run_template_path))?;
    }
    let sidecars: Vec<i32> = found.iter().map(|instance| instance.daprd_pid).collect();
    if wait_until_gone(&sidecars).await.is_err() {
        // The processes are in groups of their own and would outlive a killed `dapr run`.
        let all = found
            .iter()
            .flat_map(|i| [i.cli_pid, i.daprd_pid, i.app_pid]);
        for pid in all.filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    report.success("Dapr and app processes stopped successfully");
    Ok(0)
}

fn terminate(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).context("its process is unknown")?;
    match kill_process(pid, Signal::TERM) {
        // It ended in the meantime, which is what was wanted.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.with_context(|| format!("cannot signal process {}", pid.as_raw_nonzero())),
    }
}

/// Waits for sidecars, which `dapr run` ends last. Not for `dapr run` itself: once it has ended
/// it still counts as a process until whoever started it takes notice.
async fn wait_until_gone(pids: &[i32]) -> Result<()> {
    let alive = |pid: &i32| Pid::from_raw(*pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    let gone = async {
        while pids.iter().any(alive) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(GRACE, gone)
        .await
        .with_context(|| format!("it is still running after {} s", GRACE.as_secs()))
}
