//! The wiring: listeners, identity, store, engine; and the end of them.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use security::{AnchorSource, ControlPlane, Mode, Options, PeerRule, Security};
use service::flags::process_env;
use service::health::{self, Health};
use service::metrics::{self, Registry};
use service::{Tasks, net};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::SCOPE;
use crate::config::{Config, Place};
use crate::engine::Cron;
use crate::etcd::{External, client, face};
use crate::hosts::Hosts;
use crate::metrics::Metrics;
use crate::namespaces;
use crate::server::{self, DRAIN, Service};
use crate::store::{Embedded, Store};

const SERVER: &str = "dapr.scheduler.server";
const ETCD: &str = "dapr.scheduler.server.etcd";
/// How long everything but calls may take to end.
const END: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is cancelled, then ends the streams and closes the
/// store. The error is that of the fatal line.
pub async fn run(config: &Config, shutdown: CancellationToken) -> Result<(), String> {
    let groups = Groups::default();
    let done = tokio::select! {
        started = Box::pin(start(config, &groups)) => match started {
            Ok(cron) => tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                // Jobs that nobody fires would go unnoticed.
                _ = cron => Err("the engine of the jobs has ended".into()),
            },
            Err(e) => Err(e),
        },
        // A start that waits, for an identity say, is not waited for.
        () = shutdown.cancelled() => Ok(()),
    };
    groups.end().await;
    done
}

/// What runs, in the order in which it ends.
#[derive(Default)]
struct Groups {
    engine: Tasks,
    calls: Tasks,
    store: Tasks,
    rest: Tasks,
}

impl Groups {
    async fn end(&self) {
        self.engine.shutdown(END).await;
        tracing::info!(target: "dapr.runtime.scheduler.server.pool", "Connection pool shutting down");
        self.calls.shutdown(DRAIN + END).await;
        tracing::info!(target: SERVER, "Scheduler GRPC server stopped");
        self.store.shutdown(END).await;
        tracing::info!(target: ETCD, "Etcd shut down");
        tracing::info!(target: SCOPE, "Healthz server is shutting down");
        self.rest.shutdown(END).await;
    }
}

/// Starts everything, and answers the task of the engine.
async fn start(config: &Config, groups: &Groups) -> Result<JoinHandle<()>, String> {
    let health = Health::new();
    let registry = Registry::new(&[]);
    let metrics = Metrics::new(&registry);
    let serving = health.target("scheduler-server");
    let stored = health.target(match config.store {
        Place::Embedded { .. } => "scheduler-etcd-embed",
        Place::Etcd { .. } => "scheduler-etcd-external",
    });
    let tasks = &groups.rest;
    if let Some(port) = config.metrics_port {
        let listener = bind(&config.host, port).await?;
        let host = &config.host;
        tracing::info!(target: SCOPE, "metrics server started on {host}:{port}/");
        metrics::serve(listener, &registry, tasks);
    }
    let listener = bind("", config.health_port).await?;
    let address = listener.local_addr().map_err(text)?;
    tracing::info!(target: SCOPE, "Healthz server is listening on {address}");
    health::serve(listener, &health, tasks);
    let security = security(config, &registry, tasks).await?;

    tracing::info!(target: SERVER, "Dapr Scheduler is starting...");
    // Said by upstream, whose servers have their own limit as ours have.
    tracing::warn!(
        target: SERVER,
        "Graceful shutdown timeout is infinite, will wait indefinitely to shutdown"
    );
    let listener = bind(&config.host, config.port).await?;
    let address = listener.local_addr().map_err(text)?;
    let broadcast = config.broadcast(address.port(), own_address());
    let (store, hosts) = open(config, &broadcast, groups).await?;
    stored.ready();
    if config.kubernetes {
        let cluster = k8s::Client::connect(&config.kubeconfig).await;
        let cluster = cluster.map_err(|e| e.to_string())?;
        // Its deletions end before the store does.
        namespaces::follow(cluster, store.clone(), &groups.engine);
    }

    let (cron, handle) = Cron::new(store.clone(), hosts.clone(), metrics.clone());
    let cron = groups.engine.spawn("cron", cron.run(groups.engine.token()));
    let acceptor = security.identity().map(|own| own.acceptor(PeerRule::Any));
    let service = Service {
        store,
        cron: handle,
        hosts,
        metrics,
        secured: acceptor.is_some(),
        tasks: groups.calls.clone(),
    };
    server::serve(listener, acceptor, service.into_server(), &groups.calls);
    serving.ready();
    tracing::info!(target: SERVER, "Dapr Scheduler listening on: {address}");
    tracing::info!(target: SERVER, "Running gRPC server on port {}", address.port());
    Ok(cron)
}

/// The store, and who shares it.
async fn open(
    config: &Config,
    broadcast: &str,
    groups: &Groups,
) -> Result<(Arc<dyn Store>, Hosts), String> {
    tracing::info!(target: ETCD, "Starting Etcd provider");
    match &config.store {
        Place::Embedded {
            folder,
            tools_host,
            tools_port,
        } => {
            tracing::info!(target: ETCD, "Starting embedded Etcd");
            greet(folder);
            let listener = bind(tools_host, *tools_port).await?;
            let store = Embedded::open(folder, &groups.store).await?;
            face::serve(
                listener,
                store.clone(),
                &config.id,
                broadcast,
                &groups.calls,
            )
            .map_err(text)?;
            tracing::info!(target: ETCD, "Etcd server is ready!");
            Ok((Arc::new(store), Hosts::alone(broadcast)))
        }
        Place::Etcd {
            endpoints,
            username,
            password,
        } => {
            let options = client::Options {
                endpoints: endpoints.clone(),
                username: username.clone(),
                password: password.clone(),
            };
            let opened = External::open(&options, &config.id, broadcast, &groups.store);
            let (store, hosts) = opened.map_err(|e| e.to_string())?;
            Ok((Arc::new(store), hosts))
        }
    }
}

/// Tells what is found in the folder of the jobs.
fn greet(folder: &Path) {
    let shown = folder.display();
    if folder.join("member").is_dir() {
        tracing::warn!(
            target: ETCD,
            "{shown} has jobs of Dapr's embedded etcd, which are not read here: export them with \
             that release (dapr scheduler export) and import them into this one"
        );
    }
    if folder.exists() {
        tracing::info!(
            target: ETCD,
            "Found existing cluster data, preserving data dir: {shown}"
        );
    }
}

async fn security(config: &Config, registry: &Registry, tasks: &Tasks) -> Result<Security, String> {
    let own = security::Service::Scheduler.app_id();
    let mut options = Options::from_env(own, &config.namespace, process_env)?;
    options.metrics = Some(registry.clone());
    if let Some(tls) = &config.tls {
        options.mtls = true;
        options.mode = match config.kubernetes {
            true => Mode::Kubernetes,
            false => Mode::Standalone,
        };
        options.control_plane = ControlPlane {
            trust_domain: tls.trust_domain.clone(),
            namespace: config.namespace.clone(),
        };
        options.sentry_address.clone_from(&tls.sentry_address);
        if let Some(anchors) = &tls.anchors {
            options.anchors = Some(AnchorSource::File(anchors.clone()));
        }
    }
    let started = Box::pin(Security::start(options, tasks)).await;
    started.map_err(|e| e.to_string())
}

/// The address by which this machine reaches others: nothing is sent.
fn own_address() -> IpAddr {
    let found = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(8, 8, 8, 8), 53))?;
        socket.local_addr()
    });
    found.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

async fn bind(host: &str, port: u16) -> Result<TcpListener, String> {
    net::bind(host, port).await.map_err(text)
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn text(error: std::io::Error) -> String {
    error.to_string()
}
