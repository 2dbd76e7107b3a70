//! The certificate authority that gives the sidecars their identities.

use anyhow::ensure;
use tempfile::TempDir;
use testkit::{DEADLINE, Http, Process, binary, eventually, free_ports};

pub(crate) struct Sentry {
    port: u16,
    anchors: String,
    process: Process,
    _folder: TempDir,
}

impl Sentry {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("sentry.yaml");
        std::fs::write(
            &config,
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\n\
             metadata:\n  name: daprsystem\nspec: {}\n",
        )?;
        let issuer = folder.path().join("issuer");
        std::fs::create_dir(&issuer)?;
        let [port, health, metrics] = free_ports();
        let mut builder = Process::builder(binary("sentry")?)
            .args([
                "--listen-address",
                "127.0.0.1",
                "--trust-domain",
                "localhost",
            ])
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--issuer-credentials".as_ref(), issuer.as_os_str()]);
        for (flag, port) in [
            ("--port", port),
            ("--healthz-port", health),
            ("--metrics-port", metrics),
        ] {
            builder = builder.arg(flag).arg(port.to_string());
        }
        let process = builder.start()?;
        let anchors = eventually(DEADLINE, async || {
            let reply = Http::port(health).get("/healthz").await;
            let healthy = reply.is_ok_and(|reply| reply.status == 200);
            ensure!(healthy, "sentry is not healthy:\n{}", process.output());
            Ok(std::fs::read_to_string(issuer.join("ca.crt"))?)
        })
        .await;
        Ok(Self {
            port,
            anchors,
            process,
            _folder: folder,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What its clients have to trust, as PEM.
    pub(crate) fn anchors(&self) -> &str {
        &self.anchors
    }
}
