//! The programs, each started alone, used a little and ended, under callgrind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use proto::dapr::runtime::v1::GetStateRequest;
use proto::dapr::runtime::v1::dapr_client::DaprClient;
use security::{AnchorSource, Options, Security};
use serde_json::json;
use service::Tasks;
use testkit::redis::Redis;
use testkit::{Http, Process, eventually, free_ports};

use super::trace;
use crate::sentry::Sentry;

/// Everything takes fifty times as long as it does without callgrind.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Program {
    Daprd,
    Sentry,
    Placement,
    Scheduler,
}

/// How a program is started, and what it answers once it is healthy.
struct Start {
    args: Vec<String>,
    port: u16,
    paths: &'static [&'static str],
    sentry: Option<Sentry>,
    stores: Option<Stores>,
    authority: Option<Authority>,
}

/// The state stores of a sidecar.
struct Stores {
    /// Where its gRPC API is.
    grpc: u16,
    _redis: Redis,
}

/// What clients of a Sentry have to know.
struct Authority {
    address: String,
    anchors: PathBuf,
}

/// What a process does in its first seconds at rest belongs to its start: a sidecar announces
/// itself.
const REST: Duration = Duration::from_secs(5);

/// What a sidecar is started with.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    MutualTls,
    /// Components, and calls that use them.
    Stores,
}

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Daprd => "daprd",
            Self::Sentry => "sentry",
            Self::Placement => "placement",
            Self::Scheduler => "scheduler",
        }
    }

    /// The folder and the package that it is built from.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Daprd => "sidecar",
            other => other.name(),
        }
    }

    /// Runs it until it was healthy, and returns callgrind's traces of its ways to start, the
    /// plainest first.
    pub(super) async fn traces(self, binary: &Path) -> anyhow::Result<Vec<String>> {
        let mut traces = Vec::new();
        for way in self.ways() {
            let folder = tempfile::tempdir()?;
            let start = match self {
                Self::Daprd => daprd(folder.path(), *way).await?,
                Self::Sentry => sentry(folder.path())?,
                Self::Placement => placement(),
                Self::Scheduler => scheduler(folder.path()),
            };
            let file = folder.path().join("callgrind.out");
            let ended = start.run(binary, &file).await;
            ended.with_context(|| format!("cannot trace {}", self.name()))?;
            let trace = std::fs::read_to_string(&file).context("callgrind wrote no trace")?;
            traces.push(trace);
        }
        Ok(traces)
    }

    fn ways(self) -> &'static [Way] {
        match self {
            Self::Daprd => &[Way::Plain, Way::MutualTls, Way::Stores],
            _ => &[Way::Plain],
        }
    }
}

impl Start {
    async fn run(self, binary: &Path, trace: &Path) -> anyhow::Result<()> {
        let mut builder = Process::builder("valgrind")
            .args(trace::OPTIONS)
            .arg(format!("--callgrind-out-file={}", trace.display()))
            .arg(binary)
            .args(&self.args);
        if let Some(sentry) = &self.sentry {
            builder = builder.env("DAPR_TRUST_ANCHORS", sentry.anchors());
        }
        let mut process = builder.start()?;
        let http = Http::port(self.port).within(PATIENCE);
        eventually(PATIENCE, async || {
            for path in self.paths {
                let reply = http.get(path).await;
                let healthy = reply.is_ok_and(|reply| reply.status.is_success());
                ensure!(healthy, "not healthy:\n{}", process.output());
            }
            Ok(())
        })
        .await;
        tokio::time::sleep(REST).await;
        if let Some(stores) = &self.stores {
            stores.use_api(&http).await?;
        }
        if let Some(authority) = self.authority {
            authority.give_identity().await?;
        }
        let code = process.stop(PATIENCE).await?;
        ensure!(code == 0, "it ended with {code}");
        Ok(())
    }
}

/// The stores that most sidecars have.
const STORES: [&str; 3] = ["in-memory", "sqlite", "redis"];

const CONFIGURATION: &str = "\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprsystem
spec: {}
";

async fn daprd(folder: &Path, way: Way) -> anyhow::Result<Start> {
    let [http, grpc, internal, metrics] = free_ports();
    let mut args = vec![
        "--app-id=startup".to_owned(),
        "--dapr-listen-addresses=127.0.0.1".to_owned(),
        "--dapr-internal-grpc-listen-address=127.0.0.1".to_owned(),
        format!("--dapr-http-port={http}"),
        format!("--dapr-grpc-port={grpc}"),
        format!("--dapr-internal-grpc-port={internal}"),
        format!("--metrics-port={metrics}"),
    ];
    let (mut sentry, mut stores) = (None, None);
    match way {
        Way::Plain => {}
        Way::MutualTls => {
            let started = Sentry::start().await?;
            args.extend([
                "--enable-mtls".to_owned(),
                "--control-plane-trust-domain=localhost".to_owned(),
                format!("--sentry-address={}", started.address()),
            ]);
            sentry = Some(started);
        }
        Way::Stores => {
            args.push(format!("--resources-path={}", folder.display()));
            stores = Some(Stores::new(folder, grpc)?);
        }
    }
    Ok(Start {
        args,
        port: http,
        paths: &["/v1.0/healthz", "/v1.0/metadata"],
        sentry,
        stores,
        authority: None,
    })
}

impl Stores {
    /// Writes their components into the folder.
    fn new(folder: &Path, grpc: u16) -> anyhow::Result<Self> {
        let redis = Redis::start(&[]).context("redis-server is needed: run `make deps`")?;
        for store in STORES {
            let setting = match store {
                "sqlite" => (
                    "connectionString",
                    folder.join("state.db").display().to_string(),
                ),
                _ => ("redisHost", redis.address()),
            };
            let component = json!({
                "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": store},
                "spec": {
                    "type": format!("state.{store}"), "version": "v1", "initTimeout": "120s",
                    "metadata": [{"name": setting.0, "value": setting.1}],
                },
            });
            let file = folder.join(format!("{store}.yaml"));
            std::fs::write(file, component.to_string())?;
        }
        Ok(Self {
            grpc,
            _redis: redis,
        })
    }

    /// Has values saved and read over each API.
    async fn use_api(&self, http: &Http) -> anyhow::Result<()> {
        let address = format!("http://127.0.0.1:{}", self.grpc);
        let mut client = DaprClient::connect(address).await?;
        for store in STORES {
            let path = format!("/v1.0/state/{store}");
            let saved = http.post(&path, r#"[{"key":"key","value":"value"}]"#).await;
            let read = http.get(&format!("{path}/key")).await;
            for reply in [saved, read] {
                let reply = reply?;
                ensure!(reply.status.is_success(), "daprd says {}", reply.text());
            }
            let request = GetStateRequest {
                store_name: store.to_owned(),
                key: "key".to_owned(),
                ..GetStateRequest::default()
            };
            client.get_state(request).await?;
        }
        Ok(())
    }
}

impl Authority {
    /// Has a certificate signed, as every sidecar does when it starts.
    async fn give_identity(self) -> anyhow::Result<()> {
        let options = Options::from_env("startup", "default", |_| None);
        let options = Options {
            sentry_address: self.address,
            anchors: Some(AnchorSource::File(self.anchors)),
            mtls: true,
            ..options.map_err(anyhow::Error::msg)?
        };
        let tasks = Tasks::new();
        Security::start(options, &tasks).await?;
        tasks.shutdown(PATIENCE).await;
        Ok(())
    }
}

fn sentry(folder: &Path) -> anyhow::Result<Start> {
    let config = folder.join("sentry.yaml");
    std::fs::write(&config, CONFIGURATION)?;
    let issuer = folder.join("issuer");
    std::fs::create_dir(&issuer)?;
    let args = vec![
        "--trust-domain=localhost".to_owned(),
        format!("--config={}", config.display()),
        format!("--issuer-credentials={}", issuer.display()),
    ];
    let [port] = free_ports();
    let authority = Authority {
        address: format!("127.0.0.1:{port}"),
        anchors: issuer.join("ca.crt"),
    };
    Ok(Start {
        authority: Some(authority),
        ..service(port, args)
    })
}

fn placement() -> Start {
    let [port, raft] = free_ports();
    let args = vec![
        "--id=p0".to_owned(),
        format!("--initial-cluster=p0=127.0.0.1:{raft}"),
    ];
    service(port, args)
}

fn scheduler(folder: &Path) -> Start {
    let [port, tools, peer] = free_ports();
    let args = vec![
        "--id=s0".to_owned(),
        format!("--etcd-initial-cluster=s0=http://127.0.0.1:{peer}"),
        format!("--etcd-client-port={tools}"),
        format!("--etcd-data-dir={}", folder.join("data").display()),
    ];
    service(port, args)
}

/// A service of the control plane with these flags and those that all of them have.
fn service(port: u16, mut args: Vec<String>) -> Start {
    let [health, metrics] = free_ports();
    args.extend([
        "--listen-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        format!("--healthz-port={health}"),
        format!("--metrics-port={metrics}"),
    ]);
    Start {
        args,
        port: health,
        paths: &["/healthz"],
        sentry: None,
        stores: None,
        authority: None,
    }
}
