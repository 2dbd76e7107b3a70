//! A running Sentry.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use testkit::{DEADLINE, Http, Process, eventually, free_ports};
use tonic::Status;

use crate::client::{Client, request};

pub(crate) struct Sentry {
    pub(crate) process: Process,
    pub(crate) port: u16,
    metrics: u16,
    folder: PathBuf,
}

impl Sentry {
    /// Starts it on a folder and waits until it is ready.
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::start_with(folder, flags, &[]).await
    }

    /// The same in an environment.
    pub(crate) async fn start_with(folder: &Path, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let [port, health, metrics] = free_ports();
        let mut builder = Process::builder(env!("CARGO_BIN_EXE_sentry"))
            .args(["--listen-address", "127.0.0.1", "--issuer-credentials"])
            .arg(folder)
            .args(["--port", &port.to_string()])
            .args(["--healthz-port", &health.to_string()])
            .args(["--metrics-port", &metrics.to_string()])
            .args(flags);
        for (name, value) in env {
            builder = builder.env(name, value);
        }
        let process = builder.start().unwrap();
        eventually(DEADLINE, async || {
            let reply = Http::port(health).get("/healthz").await?;
            ensure!(reply.status == 200, "{}", reply.status);
            Ok(())
        })
        .await;
        let folder = folder.to_owned();
        Self {
            process,
            port,
            metrics,
            folder,
        }
    }

    /// Root, issuer and key.
    pub(crate) fn files(&self) -> [Vec<u8>; 3] {
        let read = |name| std::fs::read(self.folder.join(name)).unwrap();
        ["ca.crt", "issuer.crt", "issuer.key"].map(read)
    }

    /// Asks for a certificate, trusting the root of the folder.
    pub(crate) async fn sign(&self, id: &str) -> Result<SignCertificateResponse, Status> {
        self.ask(request(id)).await
    }

    pub(crate) async fn sign_trusting(
        &self,
        id: &str,
        anchors: &[u8],
    ) -> anyhow::Result<SignCertificateResponse> {
        Ok(Client::new(self.port, anchors).ask(request(id)).await?)
    }

    pub(crate) async fn ask(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, Status> {
        let anchors = &self.files()[0];
        Client::new(self.port, anchors).ask(request).await
    }

    pub(crate) async fn figures(&self) -> String {
        let reply = Http::port(self.metrics).get("/").await.unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }
}
