//! Sidecars with identities: an authority, the Sentry that issues for it, and a
//! folder where the sidecars of one test find each other.

use std::fs;
use std::path::PathBuf;

use anyhow::ensure;
use serde_json::json;
use tempfile::TempDir;
use testkit::pki::{Authority, Credentials, Leaf};
use testkit::{DEADLINE, Http, Process, binary, eventually, free_ports};

use crate::{Sidecar, SidecarBuilder};

const RELOADED: &str = "Issuer credentials changed; reloading";

/// A Sentry on loopback, and what it issues with.
pub struct Mesh {
    issuer: Authority,
    anchors: String,
    folder: TempDir,
    apps: TempDir,
    ports: [u16; 3],
    sentry: Process,
}

impl Mesh {
    /// Certificates live as long as they do by default.
    ///
    /// # Panics
    /// When Sentry does not become healthy.
    pub async fn start() -> Self {
        Self::with_lives("24h", "15m").await
    }

    /// Certificates live for `ttl`, and have done so for `skew` when they come.
    ///
    /// # Panics
    /// When Sentry does not become healthy.
    pub async fn with_lives(ttl: &str, skew: &str) -> Self {
        let (root, folder) = (Authority::root("first root"), temporary());
        let mtls = json!({"workloadCertTTL": ttl, "allowedClockSkew": skew});
        let config = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
            "metadata": {"name": "daprsystem"}, "spec": {"mtls": mtls},
        });
        write(&folder, "daprsystem.yaml", &config.to_string());
        let anchors = root.certificate_pem();
        write(&folder, "ca.crt", &anchors);
        let issuer = root.intermediate("first issuer");
        write_issuer(&folder, &issuer);
        let ports = free_ports();
        let mesh = Self {
            issuer,
            anchors,
            sentry: launch(&folder, ports),
            folder,
            apps: temporary(),
            ports,
        };
        mesh.wait_healthy().await;
        mesh
    }

    /// A sidecar of this mesh.
    ///
    /// # Panics
    /// When daprd is not built: the build comes before these tests.
    #[track_caller]
    pub fn sidecar(&self, id: &str) -> SidecarBuilder {
        self.sidecar_trusting(id, &self.anchors)
    }

    /// A sidecar that is given other anchors than this mesh's own.
    ///
    /// # Panics
    /// When daprd is not built: the build comes before these tests.
    #[track_caller]
    pub fn sidecar_trusting(&self, id: &str, anchors: &str) -> SidecarBuilder {
        Sidecar::builder(id)
            .args(["--enable-mtls", "--sentry-address"])
            .args([format!("127.0.0.1:{}", self.ports[0])])
            .env("DAPR_TRUST_ANCHORS", anchors)
            .env("DAPR_APPS_DIR", &self.apps.path().display().to_string())
    }

    /// The arguments by which a service of the control plane gets its certificate here.
    pub fn control_plane(&self) -> [String; 4] {
        let anchors = path(&self.folder, "ca.crt");
        [
            "--tls-enabled".to_owned(),
            "--trust-domain=localhost".to_owned(),
            format!("--trust-anchors-file={}", anchors.display()),
            format!("--sentry-address=127.0.0.1:{}", self.ports[0]),
        ]
    }

    /// A certificate of the mesh for the sidecar of this app.
    pub fn credentials(&self, app_id: &str, expired: bool) -> Credentials {
        let name = format!("spiffe://public/ns/default/{app_id}");
        self.issuer.leaf(Leaf {
            name: &name,
            expired,
        })
    }

    /// Makes this app's sidecar be found at an address where the test listens.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn register(&self, app_id: &str, address: &str) {
        let pid = std::process::id();
        let entry = json!({"appId": app_id, "address": address, "pid": pid});
        write(&self.apps, &format!("{app_id}.json"), &entry.to_string());
    }

    /// Ends Sentry as a crash does, and starts it again on the same files.
    ///
    /// # Panics
    /// When it does not come back.
    pub async fn restart_sentry(&mut self) {
        self.sentry.kill().await.expect("a process can be killed");
        self.sentry = launch(&self.folder, self.ports);
        self.wait_healthy().await;
    }

    /// Puts a root beside the one there is; Sentry announces both.
    ///
    /// # Panics
    /// When Sentry does not take it.
    pub async fn add_root(&mut self, root: &Authority) {
        let before = self.reloads();
        self.anchors = format!("{}{}", root.certificate_pem(), self.anchors);
        write(&self.folder, "ca.crt", &self.anchors);
        self.wait_reload(before).await;
    }

    /// Issues with another issuer from now on.
    ///
    /// # Panics
    /// When Sentry does not take it.
    pub async fn replace_issuer(&mut self, issuer: Authority) {
        let before = self.reloads();
        write_issuer(&self.folder, &issuer);
        self.issuer = issuer;
        self.wait_reload(before).await;
    }

    fn reloads(&self) -> usize {
        self.sentry.lines_with(RELOADED).len()
    }

    async fn wait_reload(&self, before: usize) {
        eventually(DEADLINE, async || {
            let output = self.sentry.output();
            ensure!(self.reloads() > before, "sentry reloads nothing:\n{output}");
            Ok(())
        })
        .await;
    }

    async fn wait_healthy(&self) {
        let client = Http::port(self.ports[1]);
        eventually(DEADLINE, async || {
            let reply = client.get("/healthz").await;
            let healthy = reply.is_ok_and(|reply| reply.status == 200);
            ensure!(healthy, "sentry is not healthy:\n{}", self.sentry.output());
            Ok(())
        })
        .await;
    }
}

#[track_caller]
fn launch(folder: &TempDir, ports: [u16; 3]) -> Process {
    let sentry = match binary("sentry") {
        Ok(path) => path,
        Err(error) => panic!("{error:#}"),
    };
    let mut process = Process::builder(sentry)
        .args(["--listen-address", "127.0.0.1"])
        .args(["--trust-domain", "localhost"])
        .args([
            "--issuer-credentials".as_ref(),
            folder.path().as_os_str(),
            "--config".as_ref(),
            path(folder, "daprsystem.yaml").as_os_str(),
        ]);
    for (flag, port) in ["--port", "--healthz-port", "--metrics-port"]
        .into_iter()
        .zip(ports)
    {
        process = process.arg(flag).arg(port.to_string());
    }
    process.start().expect("sentry can be started")
}

fn write_issuer(folder: &TempDir, issuer: &Authority) {
    write(folder, "issuer.key", &issuer.key_pem());
    write(folder, "issuer.crt", &issuer.certificate_pem());
}

/// In one rename, so that nobody reads half a file.
fn write(folder: &TempDir, name: &str, text: &str) {
    let new = path(folder, &format!(".{name}.new"));
    fs::write(&new, text).expect("a temporary folder is writable");
    fs::rename(new, path(folder, name)).expect("a temporary folder is writable");
}

fn path(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("the system has a folder for temporary files")
}
