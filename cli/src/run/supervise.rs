//! The life of one application and its sidecar: start, announce, wait, end.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use http::Method;
use owo_colors::AnsiColors;
use tokio::{process::Command, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{api::Sidecar, output::Report};

use super::{
    console::{Sink, prefix},
    job::Job,
    plan::Plan,
};

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
    let mut daprd = None;
    let mut app = None;
    let ended = run(&plan, &around, &mut daprd, &mut app).await;
    let (mut app_done, mut daprd_done) = (false, false);
    let code = match ended {
        Ok(Ended::Stopped) => 0,
        Ok(Ended::App(status)) => {
            app_done = true;
            tell(report, "App", status);
            exit_code(status)
        }
        Ok(Ended::Daprd(status)) => {
            daprd_done = true;
            tell(report, "Dapr", status);
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
            tell_stopped(report, "App", status);
        }
    }
    if let Some(daprd) = daprd {
        let status = daprd.end(DAPRD_GRACE, &around.force).await;
        if !daprd_done {
            tell_stopped(report, "Dapr", status);
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

fn tell(report: Report, who: &str, status: ExitStatus) {
    if status.success() {
        report.success(format_args!("Exited {who} successfully"));
    } else {
        report.failure(format_args!(
            "The {who} process exited with error: {status}"
        ));
    }
}

/// What was told to end, and does so, has ended well, whatever it says.
fn tell_stopped(report: Report, who: &str, status: ExitStatus) {
    use std::os::unix::process::ExitStatusExt;
    const KILL: i32 = 9;
    if status.signal() == Some(KILL) {
        report.warning(format_args!("{who} did not end in time and was killed"));
    } else {
        report.success(format_args!("Exited {who} successfully"));
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

/// The log files of an application of a template.
#[derive(Default)]
struct Logs {
    app: Option<PathBuf>,
    daprd: Option<PathBuf>,
}

impl Logs {
    fn open(plan: &Plan, report: Report) -> Result<Self> {
        let (Some(origin), Some(app_dir)) = (&plan.template, &plan.app_dir) else {
            return Ok(Self::default());
        };
        let folder = app_dir.join(".dapr").join("logs");
        let now = jiff::Zoned::now().strftime("%Y%m%d%H%M%S").to_string();
        let file = |kind: &str| folder.join(format!("{}_{kind}_{now}.log", plan.app_id));
        let has_app = !plan.command.is_empty() && origin.app_log.has_file();
        let logs = Self {
            app: has_app.then(|| file("app")),
            daprd: origin.daprd_log.has_file().then(|| file("daprd")),
        };
        if logs.app.is_some() || logs.daprd.is_some() {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create folder {}", folder.display()))?;
            report.info(format_args!(
                "Writing log files to directory : {}",
                folder.display()
            ));
        }
        for path in logs.app.iter().chain(&logs.daprd) {
            append(path)?;
        }
        Ok(logs)
    }

    fn app_sink(&self, plan: &Plan, around: &Surroundings) -> Sink {
        let shown = plan
            .template
            .as_ref()
            .is_none_or(|origin| origin.app_log.has_console());
        let id = plan.template.is_some().then_some(plan.app_id.as_str());
        let prefix = prefix("APP", id, around.color);
        sink(self.app.as_deref(), shown.then_some(prefix), around)
    }

    fn daprd_sink(&self, plan: &Plan, around: &Surroundings) -> Sink {
        let shown = plan
            .template
            .as_ref()
            .is_none_or(|origin| origin.daprd_log.has_console());
        let id = plan.template.is_some().then_some(plan.app_id.as_str());
        let prefix = if plan.log_json {
            // Whoever asks for JSON wants to parse the lines.
            String::new()
        } else {
            prefix("DAPR", id, around.color.map(|_| AnsiColors::BrightBlack))
        };
        sink(self.daprd.as_deref(), shown.then_some(prefix), around)
    }

    /// What the sidecar is told about the run, by the names that upstream's tool uses.
    fn facts(&self, plan: &Plan, app_pid: Option<i32>) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        let mut facts = vec![("cliPID", std::process::id().to_string())];
        if let Some(pid) = app_pid {
            facts.push(("appPID", pid.to_string()));
            facts.push(("appCommand", plan.command.join(" ")));
        }
        if let Some(origin) = &plan.template {
            facts.push(("runTemplatePath", path(&origin.path)));
            facts.push(("runTemplateName", origin.name.clone()));
            facts.extend(self.app.as_deref().map(|log| ("appLogPath", path(log))));
            facts.extend(self.daprd.as_deref().map(|log| ("daprdLogPath", path(log))));
        }
        facts
    }
}

fn sink(file: Option<&Path>, prefix: Option<String>, around: &Surroundings) -> Sink {
    let mut sink = Sink::default();
    if let Some(prefix) = prefix {
        sink = sink.to_console(around.lines.clone(), &prefix);
    }
    // The file was just made; if it is gone by now, the console still has the lines.
    if let Some(file) = file.and_then(|path| append(path).ok()) {
        sink = sink.to_file(file);
    }
    sink
}

fn append(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write the log file {}", path.display()))
}
