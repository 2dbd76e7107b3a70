//! The life of one application and its sidecar: start, announce, wait, end.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use http::Method;
use owo_colors::AnsiColors;
use tokio::{process::Command, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{api::Sidecar, output::Report};

use super::{job::Job, logs::Logs, plan::Plan};

const POLL: Duration = Duration::from_millis(15);
/// How long a sidecar may take until it answers.
const START: Duration = Duration::from_secs(60);
/// One request to a sidecar on the same machine.
const CALL: Duration = Duration::from_secs(5);
const APP_GRACE: Duration = Duration::from_secs(5);
/// A little more than daprd gives itself.
const DAPRD_GRACE: Duration = Duration::from_secs(7);

/// What supervision needs of its surroundings; the same for all applications of a run.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) report: Report,
    pub(crate) lines: mpsc::Sender<Vec<u8>>,
    /// Cancelled when everything shall end.
    pub(crate) stop: CancellationToken,
    /// Cancelled when everything shall end at once.
    pub(crate) force: CancellationToken,
    /// The colour of the application's prefix, on a terminal.
    pub(crate) color: Option<AnsiColors>,
}

/// What ended first, and so the rest.
enum Ended {
    Stopped,
    App(ExitStatus),
    Daprd(ExitStatus),
}

/// Runs one application with its sidecar until one of them ends or the run is stopped, ends
/// the other, and returns the exit code.
pub(crate) async fn supervise(plan: Plan, around: Surroundings) -> u8 {
    let report = around.report;
    // Of several applications each message says which it is about.
    let of = plan
        .template
        .as_ref()
        .map(|_| format!(": {}", plan.app_id))
        .unwrap_or_default();
    let mut daprd = None;
    let mut app = None;
    let ended = run(&plan, &around, &mut daprd, &mut app).await;
    let (mut app_done, mut daprd_done) = (false, false);
    let code = match ended {
        Ok(Ended::Stopped) => 0,
        Ok(Ended::App(status)) => {
            app_done = true;
            tell(report, "App", &of, status);
            exit_code(status)
        }
        Ok(Ended::Daprd(status)) => {
            daprd_done = true;
            tell(report, "Dapr", &of, status);
            exit_code(status)
        }
        Err(error) => {
            report.failure(format_args!("{}: {error:#}", plan.app_id));
            1
        }
    };
    // The application first: its last words may need the sidecar.
    if let Some(app) = app {
        let status = app.end(APP_GRACE, &around.force).await;
        if !app_done {
            tell_stopped(report, "App", &of, status);
        }
    }
    if let Some(daprd) = daprd {
        let status = daprd.end(DAPRD_GRACE, &around.force).await;
        if !daprd_done {
            tell_stopped(report, "Dapr", &of, status);
        }
    }
    code
}

async fn run(
    plan: &Plan,
    around: &Surroundings,
    daprd: &mut Option<Job>,
    app: &mut Option<Job>,
) -> Result<Ended> {
    let report = around.report;
    for problem in &plan.problems {
        report.warning(problem);
    }
    let logs = Logs::open(plan, report)?;
    let daprd = daprd.insert(Job::start(
        daprd_command(plan),
        &logs.daprd_sink(plan, around),
    )?);
    if plan.template.is_some() {
        report.info(format_args!(
            "Started Dapr with app id {:?}. HTTP Port: {}.",
            plan.app_id, plan.http_port
        ));
    }
    // An application without a port is a client, which may call its sidecar at once. One with
    // a port is what the sidecar waits for, so both start at the same time.
    if !plan.has_app_port {
        tokio::select! {
            biased;
            () = around.stop.cancelled() => return Ok(Ended::Stopped),
            status = daprd.wait() => return Ok(Ended::Daprd(status)),
            listening = listening(plan) => listening?,
        }
    }
    if !plan.command.is_empty() {
        *app = Some(Job::start(app_command(plan), &logs.app_sink(plan, around))?);
    }
    let facts = logs.facts(plan, app.as_ref().map(Job::pid));
    {
        let announce = announce(plan, &facts, report);
        let mut announce = std::pin::pin!(announce);
        let mut announced = false;
        loop {
            tokio::select! {
                biased;
                () = around.stop.cancelled() => return Ok(Ended::Stopped),
                status = wait(app) => return Ok(Ended::App(status)),
                status = daprd.wait() => return Ok(Ended::Daprd(status)),
                () = &mut announce, if !announced => announced = true,
            }
        }
    }
}

/// Waits for an application, for ever when there is none.
async fn wait(app: &mut Option<Job>) -> ExitStatus {
    match app {
        Some(app) => app.wait().await,
        None => std::future::pending().await,
    }
}

async fn listening(plan: &Plan) -> Result<()> {
    let both = async {
        while !(plan.http.listens().await && plan.grpc.listens().await) {
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(START, both).await {
        Ok(()) => Ok(()),
        Err(_) => bail!(
            "the sidecar does not listen on {} and {} after {} s; its log says why",
            plan.http,
            plan.grpc,
            START.as_secs()
        ),
    }
}

/// Stores what `list`, `stop` and `logs` want to know in the sidecar, then says that all is up.
async fn announce(plan: &Plan, facts: &[(&str, String)], report: Report) {
    for (key, value) in facts {
        if let Err(error) = put_metadata(&plan.http, key, value).await {
            report.warning(format_args!(
                "Could not update sidecar metadata for {key}: {error:#}"
            ));
        }
    }
    if plan.template.is_some() {
        return;
    }
    if plan.command.is_empty() {
        report.success("You're up and running! Dapr logs will appear here.\n");
    } else {
        report.success("You're up and running! Both Dapr and your app logs will appear here.\n");
    }
}

async fn put_metadata(api: &Sidecar, key: &str, value: &str) -> Result<()> {
    let up = async {
        while !api.listens().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(START, up)
        .await
        .with_context(|| format!("{api} does not listen"))?;
    let path = format!("/v1.0/metadata/{key}");
    let answer = api
        .call(
            Method::PUT,
            &path,
            Some("text/plain"),
            value.to_owned(),
            CALL,
        )
        .await?;
    if !answer.status.is_success() {
        bail!("the sidecar answered {}", answer.status);
    }
    Ok(())
}

fn daprd_command(plan: &Plan) -> Command {
    let mut command = Command::new(&plan.daprd);
    command.args(&plan.daprd_args).stdin(Stdio::null());
    command.envs(plan.daprd_env.iter().map(|(name, value)| (name, value)));
    // The applications of a template meet on this machine, whatever networks it has.
    if plan.template.is_some() && std::env::var_os("DAPR_HOST_IP").is_none() {
        command.env("DAPR_HOST_IP", "127.0.0.1");
    }
    command
}

fn app_command(plan: &Plan) -> Command {
    use std::io::IsTerminal;
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$@""#, "sh"])
        .args(&plan.command);
    command.envs(plan.app_env.iter().map(|(key, value)| (key, value)));
    if let Some(dir) = &plan.app_dir {
        command.current_dir(dir);
    }
    // In a group of its own the application may not read the terminal: trying would stop it.
    // One of several has no claim to what this tool is given.
    if plan.template.is_some() || std::io::stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    command
}

fn tell(report: Report, who: &str, of: &str, status: ExitStatus) {
    if status.success() {
        report.success(format_args!("Exited {who} successfully{of}"));
    } else {
        report.failure(format_args!(
            "The {who} process exited with error{of}: {status}"
        ));
    }
}

/// What was told to end, and does so, has ended well, whatever it says.
fn tell_stopped(report: Report, who: &str, of: &str, status: ExitStatus) {
    use std::os::unix::process::ExitStatusExt;
    const KILL: i32 = 9;
    if status.signal() == Some(KILL) {
        report.warning(format_args!("{who} did not end in time and was killed{of}"));
    } else {
        report.success(format_args!("Exited {who} successfully{of}"));
    }
}

/// The code of the process, or 128 and the signal that ended it, as shells have it.
fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
