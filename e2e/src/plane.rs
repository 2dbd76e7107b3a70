//! Placement and scheduler on loopback, which can be killed and come back.

use anyhow::ensure;
use tempfile::TempDir;
use testkit::{DEADLINE, Http, Process, binary, eventually, free_ports};

use crate::{Mesh, Sidecar, SidecarBuilder};

/// One process of the control plane, and how it was started.
#[derive(Debug)]
pub struct Member {
    /// The port of its gRPC API.
    pub port: u16,
    /// The port of its health server.
    pub health: u16,
    /// The port of its metrics page.
    pub metrics: u16,
    program: &'static str,
    args: Vec<String>,
    process: Process,
}

/// What actors and jobs need.
#[derive(Debug)]
pub struct Plane {
    /// Which sidecar hosts which actors.
    pub placement: Member,
    /// Reminders and jobs.
    pub scheduler: Member,
    /// The port of the scheduler's etcd face.
    pub etcd: u16,
    data: TempDir,
}

impl Plane {
    /// Both, ready.
    ///
    /// # Panics
    /// When one does not become healthy.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Both in a mesh: who calls them shows a certificate of it.
    ///
    /// # Panics
    /// When one does not become healthy.
    pub async fn start_in(mesh: &Mesh) -> Self {
        Self::start_with(&mesh.control_plane()).await
    }

    async fn start_with(args: &[String]) -> Self {
        let data = tempfile::tempdir().expect("the system has a folder for temporary files");
        let [raft, etcd, peer] = free_ports();
        let placement = Member::launch(
            "placement",
            [
                "--id=p0".to_owned(),
                format!("--initial-cluster=p0=127.0.0.1:{raft}"),
                "--metadata-enabled".to_owned(),
            ],
            args,
        );
        let folder = data.path().display();
        let scheduler = Member::launch(
            "scheduler",
            [
                "--id=s0".to_owned(),
                format!("--etcd-initial-cluster=s0=http://127.0.0.1:{peer}"),
                format!("--etcd-data-dir={folder}"),
                format!("--etcd-client-port={etcd}"),
            ],
            args,
        );
        let plane = Self {
            placement,
            scheduler,
            etcd,
            data,
        };
        plane.placement.ready().await;
        plane.scheduler.ready().await;
        plane
    }

    /// A sidecar that is connected to both.
    ///
    /// # Panics
    /// When daprd is not built: the build comes before these tests.
    #[track_caller]
    pub fn sidecar(&self, id: &str) -> SidecarBuilder {
        self.connect(Sidecar::builder(id))
    }

    /// Connects a sidecar to both.
    pub fn connect(&self, sidecar: SidecarBuilder) -> SidecarBuilder {
        let (placement, scheduler) = (self.placement.port, self.scheduler.port);
        sidecar
            .args([
                "--placement-host-address",
                &format!("127.0.0.1:{placement}"),
            ])
            .args([
                "--scheduler-host-address",
                &format!("127.0.0.1:{scheduler}"),
            ])
    }

    /// The folder in which the scheduler keeps its jobs.
    pub fn data(&self) -> &std::path::Path {
        self.data.path()
    }
}

impl Member {
    /// A process of the control plane on loopback, ready.
    ///
    /// # Panics
    /// When it does not become healthy.
    pub async fn start(program: &'static str, args: &[String]) -> Self {
        let member = Self::launch(program, [], args);
        member.ready().await;
        member
    }

    fn launch(
        program: &'static str,
        own: impl IntoIterator<Item = String>,
        more: &[String],
    ) -> Self {
        let [port, health, metrics] = free_ports();
        let mut args = vec![
            "--listen-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("--healthz-port={health}"),
            format!("--metrics-port={metrics}"),
        ];
        args.extend(own);
        args.extend_from_slice(more);
        Self {
            port,
            health,
            metrics,
            program,
            process: start(program, &args),
            args,
        }
    }

    /// Ends it as a crash does.
    ///
    /// # Panics
    /// When there is no such process any more.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("a process can be killed");
    }

    /// Ends it in good order.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn stop(&mut self) {
        let code = self.process.stop(DEADLINE).await;
        assert_eq!(code.expect("it ends"), 0, "{}", self.output());
    }

    /// Starts it again as it was started before, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become healthy.
    pub async fn start_again(&mut self) {
        self.process = start(self.program, &self.args);
        self.ready().await;
    }

    /// Whether it has not ended since it was last started.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Everything that it has written since it was last started.
    pub fn output(&self) -> String {
        self.process.output()
    }

    async fn ready(&self) {
        let client = Http::port(self.health);
        eventually(DEADLINE, async || {
            let healthy = client.get("/healthz").await;
            let healthy = healthy.is_ok_and(|reply| reply.status == 200);
            ensure!(
                healthy,
                "{} is not healthy:\n{}",
                self.program,
                self.output()
            );
            Ok(())
        })
        .await;
    }
}

fn start(program: &str, args: &[String]) -> Process {
    let path = match binary(program) {
        Ok(path) => path,
        Err(error) => panic!("{error:#}"),
    };
    let process = Process::builder(path).args(args);
    process.start().expect("the program can be started")
}
