//! The sidecar under measurement and the Redis beside it.

use std::path::Path;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use testkit::{DEADLINE, Http, Process, binary, eventually, free_ports, program};

use super::plane::Plane;
use super::process;
use crate::sentry::Sentry;

/// Which stores the sidecar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stores {
    None,
    Memory,
    Sqlite,
    MemoryAndSqlite,
    SqliteAndRedis,
    All,
    /// One in memory that keeps the state of actors.
    Actors,
}

impl Stores {
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Stores::None => &[],
            Stores::Memory => &["memory"],
            Stores::Sqlite => &["sqlite"],
            Stores::MemoryAndSqlite => &["memory", "sqlite"],
            Stores::SqliteAndRedis => &["sqlite", "redis"],
            Stores::All => &["memory", "sqlite", "redis"],
            Stores::Actors => &["actors"],
        }
    }
}

pub(super) const APP_ID: &str = "bench";

pub(super) struct Redis {
    port: u16,
    _process: Process,
}

pub(super) struct Sidecar {
    pub(super) http_port: u16,
    pub(super) grpc_port: u16,
    process: Process,
    _folder: TempDir,
}

/// A Redis of our own, if one is installed.
pub(super) async fn redis() -> anyhow::Result<Option<Redis>> {
    let Some(program) = program("redis-server") else {
        return Ok(None);
    };
    let port = testkit::free_port();
    let process = Process::builder(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .start()?;
    process
        .wait_line("Ready to accept connections", DEADLINE)
        .await;
    Ok(Some(Redis {
        port,
        _process: process,
    }))
}

/// The type of the store of this name, without `state.`, and its metadata.
pub(super) fn metadata(
    name: &str,
    folder: &Path,
    redis: Option<&Redis>,
) -> anyhow::Result<(&'static str, Vec<(&'static str, String)>)> {
    Ok(match name {
        "memory" => ("in-memory", Vec::new()),
        "actors" => ("in-memory", vec![("actorStateStore", "true".to_owned())]),
        "sqlite" => {
            let path = folder.join("state.db").display().to_string();
            ("sqlite", vec![("connectionString", path)])
        }
        _ => {
            let port = redis.context("this measurement needs redis-server")?.port;
            ("redis", vec![("redisHost", format!("127.0.0.1:{port}"))])
        }
    })
}

/// What a sidecar is started with.
pub(super) struct Setup<'a> {
    pub(super) app_id: &'a str,
    pub(super) stores: Stores,
    pub(super) redis: Option<&'a Redis>,
    /// Where the app listens, and in which protocol.
    pub(super) app: Option<(u16, &'a str)>,
    /// With one, sidecars speak mutual TLS to each other.
    pub(super) sentry: Option<&'a Sentry>,
    /// With one there are actors, jobs and reminders.
    pub(super) plane: Option<&'a Plane>,
}

/// A sidecar without app and without peers.
pub(super) fn start(stores: Stores, redis: Option<&Redis>) -> anyhow::Result<Sidecar> {
    let setup = Setup {
        app_id: APP_ID,
        stores,
        redis,
        app: None,
        sentry: None,
        plane: None,
    };
    setup.start()
}

impl Setup<'_> {
    pub(super) fn start(&self) -> anyhow::Result<Sidecar> {
        let folder = tempfile::tempdir()?;
        for name in self.stores.names() {
            let (kind, properties) = metadata(name, folder.path(), self.redis)?;
            let properties: String = properties
                .iter()
                .map(|(name, value)| format!("  - name: {name}\n    value: \"{value}\"\n"))
                .collect();
            let yaml = format!(
                "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n\
                 spec:\n  type: state.{kind}\n  version: v1\n  metadata:\n{properties}"
            );
            std::fs::write(folder.path().join(format!("{name}.yaml")), yaml)?;
        }
        let [http, grpc, internal, metrics] = free_ports();
        let mut builder = Process::builder(binary("daprd")?)
            .args(["--app-id", self.app_id])
            .args(["--dapr-listen-addresses", "127.0.0.1"])
            .args(["--dapr-internal-grpc-listen-address", "127.0.0.1"])
            .args(["--resources-path".as_ref(), folder.path().as_os_str()]);
        for (flag, port) in [
            ("--dapr-http-port", http),
            ("--dapr-grpc-port", grpc),
            ("--dapr-internal-grpc-port", internal),
            ("--metrics-port", metrics),
        ] {
            builder = builder.arg(flag).arg(port.to_string());
        }
        if let Some((port, protocol)) = self.app {
            builder = builder
                .args(["--app-port", &port.to_string()])
                .args(["--app-protocol", protocol]);
        }
        if let Some(sentry) = self.sentry {
            builder = builder
                .args(["--enable-mtls", "--sentry-address", &sentry.address()])
                .args(["--control-plane-trust-domain", "localhost"])
                .env("DAPR_TRUST_ANCHORS", sentry.anchors());
        }
        if let Some(plane) = self.plane {
            builder = builder
                .args(["--placement-host-address", &plane.placement.address()])
                .args(["--scheduler-host-address", &plane.scheduler.address()]);
        }
        Ok(Sidecar {
            http_port: http,
            grpc_port: grpc,
            process: builder.start()?,
            _folder: folder,
        })
    }
}

impl Sidecar {
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn http(&self) -> Http {
        Http::port(self.http_port)
    }

    pub(super) async fn answers(&self, path: &str, status: u16) -> anyhow::Result<()> {
        process::answers(&self.process, self.http_port, path, status).await
    }

    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        self.answers("/v1.0/healthz", 204).await
    }
}

/// One entry of about 1 KiB, as the save call takes it.
pub(super) fn one_kib() -> String {
    format!(r#"[{{"key":"key","value":"{}"}}]"#, "x".repeat(1024))
}

/// Gives every store the key that reads ask for.
pub(super) async fn fill(sidecar: &Sidecar, stores: Stores) -> anyhow::Result<()> {
    for name in stores.names() {
        let path = format!("/v1.0/state/{name}");
        eventually(DEADLINE, async || {
            let reply = sidecar.http().post(&path, one_kib()).await?;
            ensure!(reply.status == 204, "{path}: {}", reply.text());
            Ok(())
        })
        .await;
    }
    Ok(())
}
