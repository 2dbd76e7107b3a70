//! The wiring: listeners, identity, leadership, rounds; and the end of them.

use std::time::Duration;

use security::{AnchorSource, ControlPlane, Mode, Options, PeerRule, Security};
use service::flags::process_env;
use service::health::{self, Health, Target};
use service::metrics::{self, Registry};
use service::{Tasks, net};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connections::{self, DRAIN, Keepalive};
use crate::hub::{Hub, Settings};
use crate::leadership::{self, Standing};
use crate::metrics::Metrics;
use crate::rounds::Timing;
use crate::{SCOPE, state};

const SERVER: &str = "dapr.placement.server";
/// How long everything but the streams may take to end.
const END: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is cancelled, then gives leadership away and ends the
/// streams. The error is that of the fatal line.
pub async fn run(config: &Config, shutdown: CancellationToken) -> Result<(), String> {
    let tasks = Tasks::new();
    let done = tokio::select! {
        started = start(config, &tasks) => match started {
            Ok(started) => started.until(config, &shutdown).await,
            Err(e) => Err(e),
        },
        // A start that waits, for an identity say, is not waited for.
        () = shutdown.cancelled() => Ok(()),
    };
    tasks.shutdown(END).await;
    done
}

/// What is left to do once everything serves.
struct Started {
    standing: watch::Sender<Standing>,
    metrics: Metrics,
    leading: Target,
    streams: Tasks,
}

async fn start(config: &Config, tasks: &Tasks) -> Result<Started, String> {
    let health = Health::new();
    let registry = Registry::new(&[]);
    let serving = health.target("placement-grpc-server");
    let leading = health.target("placement-raft-leadership");
    let metrics = Metrics::new(&registry);
    if let Some(port) = config.metrics_port {
        let listener = bind(&config.host, port).await?;
        let host = &config.host;
        tracing::info!(target: SCOPE, "metrics server started on {host}:{port}/");
        metrics::serve(listener, &registry, tasks);
    }
    let standing = watch::Sender::new(Standing::Following(config.id.as_str().into()));
    let hub = Hub::start(settings(config), &standing, metrics.clone(), tasks);
    let listener = bind("", config.health_port).await?;
    let address = listener.local_addr().map_err(text)?;
    tracing::info!(target: SCOPE, "Healthz server is listening on {address}");
    let mut pages = health::Server::new(&health);
    if config.metadata {
        let hub = hub.clone();
        pages = pages.json("/placement/state", move || state::page(&hub));
    }
    pages.serve(listener, tasks);
    let security = security(config, &registry, tasks).await?;

    tracing::info!(target: SERVER, "Placement service is starting...");
    let listener = bind(&config.host, config.port).await?;
    let address = listener.local_addr().map_err(text)?;
    let port = address.port();
    tracing::info!(target: SERVER, "Placement service started on port {port}");
    let acceptor = security.identity().map(|own| own.acceptor(PeerRule::Any));
    let keepalive = Keepalive {
        time: config.keepalive_time,
        timeout: config.keepalive_timeout,
    };
    let streams = tasks.child();
    connections::serve(listener, acceptor, keepalive, hub, &streams);
    serving.ready();
    tracing::info!(target: SERVER, "Running Placement gRPC server on {address}");
    Ok(Started {
        standing,
        metrics,
        leading,
        streams,
    })
}

impl Started {
    /// Leads or follows until `shutdown` is cancelled.
    async fn until(self, config: &Config, shutdown: &CancellationToken) -> Result<(), String> {
        let Self {
            standing, metrics, ..
        } = &self;
        leadership::hold(config, standing, metrics, &self.leading, shutdown).await?;
        self.streams.shutdown(DRAIN).await;
        tracing::info!(target: SERVER, "Placement GRPC server stopped");
        tracing::info!(target: SCOPE, "Healthz server is shutting down");
        Ok(())
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        timing: Timing {
            timeout: config.timeout,
            window: config.window,
        },
        replication: config.replication,
    }
}

async fn security(config: &Config, registry: &Registry, tasks: &Tasks) -> Result<Security, String> {
    let own = security::Service::Placement.app_id();
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
        options.anchors = Some(AnchorSource::File(tls.anchors.clone()));
    }
    let started = Box::pin(Security::start(options, tasks)).await;
    started.map_err(|e| e.to_string())
}

async fn bind(host: &str, port: u16) -> Result<TcpListener, String> {
    net::bind(host, port).await.map_err(text)
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn text(error: std::io::Error) -> String {
    error.to_string()
}
