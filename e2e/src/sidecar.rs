//! One daprd on loopback, with ports and folders of its own.

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use testkit::{DEADLINE, Http, Process, ProcessBuilder, binary, eventually, free_ports};

/// What a sidecar is started with.
#[derive(Debug)]
pub struct SidecarBuilder {
    id: String,
    folder: TempDir,
    process: ProcessBuilder,
    ports: [u16; 5],
    unix: Option<PathBuf>,
}

/// A daprd process and how to reach it.
#[derive(Debug)]
pub struct Sidecar {
    /// The port of the HTTP API.
    pub http: u16,
    /// The port of the gRPC API.
    pub grpc: u16,
    /// The port for other sidecars.
    pub internal: u16,
    /// The port of the metrics page.
    pub metrics: u16,
    started: ProcessBuilder,
    process: Process,
    folder: TempDir,
    client: Http,
}

impl Sidecar {
    /// A sidecar with this app id, in-process name resolution aside all defaults.
    ///
    /// # Panics
    /// When daprd is not built: the build comes before these tests.
    #[track_caller]
    pub fn builder(id: &str) -> SidecarBuilder {
        let daprd = match binary("daprd") {
            Ok(path) => path,
            Err(error) => panic!("{error:#}"),
        };
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let ports = free_ports();
        let [http, grpc, internal, metrics, profile] = ports;
        let mut process = Process::builder(daprd)
            .args(["--app-id", id])
            .env("DAPR_HOST_IP", "127.0.0.1")
            .args(["--resources-path".as_ref(), folder.path().as_os_str()]);
        for (flag, port) in [
            ("--dapr-http-port", http),
            ("--dapr-grpc-port", grpc),
            ("--dapr-internal-grpc-port", internal),
            ("--metrics-port", metrics),
            ("--profile-port", profile),
        ] {
            process = process.arg(flag).arg(port.to_string());
        }
        for flag in [
            "--dapr-listen-addresses",
            "--dapr-internal-grpc-listen-address",
            "--metrics-listen-address",
        ] {
            process = process.args([flag, "127.0.0.1"]);
        }
        SidecarBuilder {
            id: id.to_owned(),
            folder,
            process,
            ports,
            unix: None,
        }
    }

    /// A client of its HTTP API.
    pub fn http(&self) -> Http {
        self.client.clone()
    }

    /// Its resources folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until `/v1.0/healthz` is 204 and hands the sidecar on.
    ///
    /// # Panics
    /// When it ends or does not become ready in time.
    pub async fn ready(mut self) -> Self {
        self.wait_healthy("/v1.0/healthz").await;
        self
    }

    /// Waits until its API answers, even if its app is still missing.
    ///
    /// # Panics
    /// When it ends or does not become ready in time.
    pub async fn outbound_ready(mut self) -> Self {
        self.wait_healthy("/v1.0/healthz/outbound").await;
        self
    }

    /// Starts it again as it was started before, on the same ports, and waits until
    /// `/v1.0/healthz` is 204. What still runs is killed.
    ///
    /// # Panics
    /// When it does not become ready in time.
    pub async fn start_again(&mut self) {
        self.kill().await.expect("a process can be killed");
        self.process = launch(self.started.clone());
        self.wait_healthy("/v1.0/healthz").await;
    }

    async fn wait_healthy(&mut self, path: &str) {
        let client = self.client.clone().within(Duration::from_secs(5));
        eventually(DEADLINE, async || {
            if !self.process.is_running() {
                // No use in asking a process that has ended.
                panic!("daprd ended:\n{}", self.process.output());
            }
            let reply = client.get(path).await?;
            ensure!(
                reply.status == 204,
                "{path}: {} {}",
                reply.status,
                reply.text()
            );
            Ok(())
        })
        .await;
    }
}

#[track_caller]
fn launch(process: ProcessBuilder) -> Process {
    match process.start().context("cannot start daprd") {
        Ok(process) => process,
        Err(error) => panic!("{error:#}"),
    }
}

impl Deref for Sidecar {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Sidecar {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl SidecarBuilder {
    /// Writes one file into the resources folder.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), text)
            .expect("a temporary folder is writable");
        self
    }

    /// Writes one component into the resources folder.
    #[must_use]
    pub fn component(self, name: &str, kind: &str, metadata: &[(&str, &str)]) -> Self {
        let yaml = crate::component(name, kind, metadata);
        self.file(&format!("{name}.yaml"), yaml)
    }

    /// The user's app that it serves.
    #[must_use]
    pub fn app_port(self, port: u16) -> Self {
        self.args(["--app-port", &port.to_string()])
    }

    /// Listens on unix sockets in this folder instead of TCP.
    #[must_use]
    pub fn unix(mut self, folder: &Path) -> Self {
        self.unix = Some(folder.to_owned());
        self.args(["--unix-domain-socket".as_ref(), folder.as_os_str()])
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.process = self.process.args(args);
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.process = self.process.env(name, value);
        self
    }

    /// The resources folder, to name files in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port of its HTTP API, for what is started before it.
    pub fn http_port(&self) -> u16 {
        self.ports[0]
    }

    /// Starts the process, without waiting for it.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[track_caller]
    pub fn start(self) -> Sidecar {
        let [http, grpc, internal, metrics, _] = self.ports;
        let client = match &self.unix {
            Some(folder) => Http::unix(folder.join(format!("dapr-{}-http.socket", self.id))),
            None => Http::port(http),
        };
        Sidecar {
            http,
            grpc,
            internal,
            metrics,
            process: launch(self.process.clone()),
            started: self.process,
            folder: self.folder,
            client,
        }
    }
}
