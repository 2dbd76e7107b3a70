//! The Sentry of one `dapr run --mtls`: it gives the sidecars of that run their certificates.
//!
//! Every run has its own, so that none depends on how long another lasts, and its lines are seen.
//! All of a user sign from the same folder, so the sidecars of different runs trust each other.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use owo_colors::AnsiColors;
use tokio::{process::Command, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    authority::{self, NAMESPACE, Store, TRUST_DOMAIN},
    health,
    home::Home,
    output::Report,
};

use super::{
    console::{Sink, prefix},
    job::Job,
    ports::Ports,
};

/// Its services are for this machine: it believes whoever asks.
const HOST: &str = "127.0.0.1";
const START: Duration = Duration::from_secs(20);
/// Before one that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(5);

/// A Sentry that can be started.
#[derive(Debug)]
pub(crate) struct Sentry {
    program: PathBuf,
    arguments: Vec<OsString>,
    port: u16,
    health_port: u16,
    anchors: String,
    log_level: String,
    log_json: bool,
}

impl Sentry {
    /// Decides what is started; makes the certificates when there are none.
    pub(super) async fn prepare(
        home: &Home,
        ports: &mut Ports,
        log_level: &str,
        log_json: bool,
    ) -> Result<Self> {
        let program = home.program("sentry")?;
        let authority = Store::new(home.certs()).open().await?;
        Ok(Self {
            program,
            arguments: authority::sentry_arguments(home),
            port: ports.take("SentryPort", -1)?,
            health_port: ports.take("SentryHealthPort", -1)?,
            anchors: authority.anchors_pem(),
            log_level: log_level.to_owned(),
            log_json,
        })
    }

    pub(super) fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// What a sidecar has to know to trust this Sentry and those whom it certifies.
    pub(super) fn daprd_env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DAPR_TRUST_ANCHORS", self.anchors.clone()),
            ("DAPR_CONTROLPLANE_TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("DAPR_CONTROLPLANE_NAMESPACE", NAMESPACE.to_owned()),
        ]
    }

    /// Starts it and waits until it gives certificates.
    pub(super) async fn start(
        self,
        lines: mpsc::Sender<Vec<u8>>,
        report: Report,
    ) -> Result<Running> {
        let prefix = if self.log_json {
            String::new()
        } else {
            let color = report.color().then_some(AnsiColors::BrightBlack);
            prefix("SENTRY", None, color)
        };
        let sink = Sink::default().on_console(lines, &prefix);
        let job = self.launch(&sink).await?;
        Ok(Running {
            sentry: self,
            sink,
            job,
        })
    }

    async fn launch(&self, sink: &Sink) -> Result<Job> {
        let mut job = Job::start(self.command(), sink)?;
        let problem = tokio::select! {
            () = health::until_healthy(self.health_port) => return Ok(job),
            status = job.wait() => format!("Sentry ended at its start: {status}; its log says why"),
            () = tokio::time::sleep(START) => {
                format!("Sentry is not ready after {} s; its log says why", START.as_secs())
            }
        };
        // Its last lines are the reason, and must be shown.
        job.end(GRACE, &CancellationToken::new()).await;
        bail!(problem)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--listen-address", HOST])
            .args(["--port", &self.port.to_string()])
            .args(["--healthz-port", &self.health_port.to_string()])
            .args(["--log-level", &self.log_level])
            .args(&self.arguments)
            .env("NAMESPACE", NAMESPACE)
            .stdin(Stdio::null());
        if self.log_json {
            command.arg("--log-as-json");
        }
        command
    }
}

/// A Sentry that was started.
pub(super) struct Running {
    sentry: Sentry,
    sink: Sink,
    job: Job,
}

impl Running {
    /// Starts it again whenever it ends; may be given up at any time.
    pub(super) async fn keep(&mut self, report: Report) {
        loop {
            let status: ExitStatus = self.job.wait().await;
            report.warning(format_args!(
                "Sentry ended ({status}) and is started again; until then sidecars cannot renew \
                 their certificates"
            ));
            loop {
                tokio::time::sleep(PAUSE).await;
                match self
                    .sentry
                    .launch(&self.sink)
                    .await
                    .context("cannot start Sentry again")
                {
                    Ok(job) => {
                        self.job = job;
                        break;
                    }
                    Err(error) => report.warning(format_args!("{error:#}")),
                }
            }
        }
    }

    pub(super) async fn end(self, force: &CancellationToken) {
        self.job.end(GRACE, force).await;
    }
}
