//! The control plane of actors and jobs: placement and scheduler on loopback.

use tempfile::TempDir;
use testkit::{DEADLINE, Process, binary, free_ports};

use super::process;

pub(super) struct Plane {
    pub(super) placement: Member,
    pub(super) scheduler: Member,
}

/// One process, and how it was started.
pub(super) struct Member {
    pub(super) port: u16,
    health: u16,
    program: &'static str,
    args: Vec<String>,
    process: Process,
    /// What it keeps lies here.
    _folder: TempDir,
}

impl Plane {
    pub(super) async fn start() -> anyhow::Result<Self> {
        Ok(Self {
            placement: Member::placement().await?,
            scheduler: Member::scheduler().await?,
        })
    }
}

impl Member {
    pub(super) async fn placement() -> anyhow::Result<Self> {
        let [raft] = free_ports();
        let args = vec![
            "--id=p0".to_owned(),
            format!("--initial-cluster=p0=127.0.0.1:{raft}"),
        ];
        Self::launch("placement", args, tempfile::tempdir()?).await
    }

    pub(super) async fn scheduler() -> anyhow::Result<Self> {
        let [tools, peer] = free_ports();
        let folder = tempfile::tempdir()?;
        let args = vec![
            "--id=s0".to_owned(),
            format!("--etcd-initial-cluster=s0=http://127.0.0.1:{peer}"),
            format!("--etcd-client-port={tools}"),
            format!("--etcd-data-dir={}", folder.path().display()),
        ];
        Self::launch("scheduler", args, folder).await
    }

    async fn launch(
        program: &'static str,
        mut args: Vec<String>,
        folder: TempDir,
    ) -> anyhow::Result<Self> {
        let [port, health, metrics] = free_ports();
        args.extend([
            "--listen-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("--healthz-port={health}"),
            format!("--metrics-port={metrics}"),
        ]);
        let member = Self {
            port,
            health,
            program,
            process: start(program, &args)?,
            args,
            _folder: folder,
        };
        member.healthy().await?;
        Ok(member)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop(DEADLINE).await.map(drop)
    }

    /// Starts it on what it kept, and waits until it is healthy.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = start(self.program, &self.args)?;
        self.healthy().await
    }

    /// Waits until it has written a line with this text.
    pub(super) async fn says(&self, text: &str) {
        self.process.wait_line(text, DEADLINE).await;
    }

    async fn healthy(&self) -> anyhow::Result<()> {
        process::answers(&self.process, self.health, "/healthz", 200).await
    }
}

fn start(program: &str, args: &[String]) -> anyhow::Result<Process> {
    Process::builder(binary(program)?).args(args).start()
}
