//! The servers on one bundle: a changed bundle ends them and starts the next.

use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use service::Tasks;
use service::health::Target;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::authority::{Authority, Profile, TokenOptions};
use crate::bundle::{Bundles, X509Bundle};
use crate::connections::{DRAIN, Protocol, serve};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::server::Service;
use crate::validate::Validators;
use crate::{clock, identity, oidc};

const SCOPE: &str = "dapr.sentry";

/// What every generation uses.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) validators: Validators,
    pub(crate) cluster_domain: String,
    pub(crate) leaf_ttl: i64,
    pub(crate) clock_skew: i64,
    pub(crate) metrics: Metrics,
    pub(crate) listener: Arc<TcpListener>,
    pub(crate) server: Target,
    pub(crate) identity: Target,
    pub(crate) oidc: Option<(Arc<TcpListener>, Target)>,
}

/// The servers that run on one bundle.
pub(crate) struct Generation {
    authority: Arc<Authority>,
    oidc: Option<oidc::Running>,
    tasks: Tasks,
}

impl Generation {
    pub(crate) fn start(parts: &Parts, bundles: Bundles, tasks: &Tasks) -> Result<Self, String> {
        let tasks = tasks.child();
        let metrics = &parts.metrics;
        if bundles.new || parts.server.is_ready() {
            metrics.issuer_changed.inc();
        }
        metrics.expiry(&bundles.x509, clock::now());
        let authority = Arc::new(authority(parts, bundles));
        tracing::info!(target: SCOPE, "CA certificate key pair ready");
        let id = parts.options.id();
        let own = identity::start(authority.clone(), id, metrics.clone(), &tasks)?;
        parts.identity.ready();
        let service = Service {
            authority: authority.clone(),
            validators: parts.validators.clone(),
            metrics: metrics.clone(),
            turns: Arc::new(Semaphore::new(turns())),
            tasks: tasks.clone(),
        };
        let tls = own.server(&[b"h2"]).map_err(|e| e.to_string())?;
        let service = TowerToHyperService::new(service.into_server());
        serve(
            parts.listener.clone(),
            Some(tls),
            Protocol::grpc(),
            service,
            &tasks,
        );
        parts.server.ready();
        let port = parts
            .listener
            .local_addr()
            .map_or(parts.options.port, |a| a.port());
        tracing::info!(target: "dapr.sentry.server", "Running gRPC server on port {port}");
        let oidc = start_oidc(parts, &authority, &tasks);
        Ok(Self {
            authority,
            oidc,
            tasks,
        })
    }

    pub(crate) fn bundle(&self) -> &X509Bundle {
        self.authority.bundle()
    }

    /// Whether these bundles are those it serves.
    pub(crate) fn serves(&self, bundles: &Bundles) -> bool {
        let tokens = self.authority.tokens().map(|t| t.bundle());
        let same_tokens = match (tokens, &bundles.jwt) {
            (Some(mine), Some(other)) => mine.same_as(other),
            (mine, other) => mine.is_none() && other.is_none(),
        };
        same_tokens && self.bundle().same_as(&bundles.x509)
    }

    /// Reads the certificate of the OIDC server again.
    pub(crate) fn reload_tls(&self) {
        if let Some(oidc) = &self.oidc {
            oidc.reload();
        }
    }

    /// Ends the servers; calls under way are finished.
    pub(crate) async fn stop(self) {
        tracing::info!(target: "dapr.sentry.server", "Shutting down gRPC server");
        self.tasks.shutdown(DRAIN).await;
    }
}

fn authority(parts: &Parts, bundles: Bundles) -> Authority {
    let options = &parts.options;
    if let Some(jwt) = &bundles.jwt {
        let kid = &jwt.kid;
        tracing::info!(target: "dapr.sentry.ca", "JWT issuing enabled");
        if options.jwt.as_ref().is_some_and(|o| o.key_id.is_some()) {
            tracing::info!(target: "dapr.sentry.ca", "Using JWT kid from configuration: {kid}");
        } else {
            tracing::info!(
                target: "dapr.sentry.ca",
                "Using JWT kid from thumbprint: {kid}, please ensure this aligns with your JWKS"
            );
        }
    }
    let profile = Profile {
        namespace: options.namespace.clone(),
        cluster_domain: parts.cluster_domain.clone(),
        leaf_ttl: parts.leaf_ttl,
        clock_skew: parts.clock_skew,
    };
    let tokens = TokenOptions {
        issuer: options.jwt_issuer.clone(),
        ttl: i64::try_from(options.jwt_ttl.as_secs()).unwrap_or(i64::MAX),
    };
    Authority::new(bundles, profile, tokens)
}

fn start_oidc(parts: &Parts, authority: &Authority, tasks: &Tasks) -> Option<oidc::Running> {
    let started = parts.oidc.as_ref().zip(parts.options.oidc.as_ref());
    let (Some(((listener, ready), options)), Some(tokens)) = (started, authority.tokens()) else {
        tracing::info!(target: SCOPE, "OIDC HTTP server is disabled");
        return None;
    };
    let port = options.port;
    tracing::info!(target: SCOPE, "Starting OIDC HTTP server on port {port}");
    if let Some((certificate, key)) = &options.tls {
        tracing::info!(
            target: SCOPE,
            "Using OIDC TLS certificate and key files: {}, {}",
            certificate.display(),
            key.display()
        );
    }
    let bundle = tokens.bundle();
    let answers = oidc::Answers {
        options: options.clone(),
        jwks: (!bundle.set.keys.is_empty()).then(|| bundle.json.clone().into()),
        algorithm: bundle.algorithm.name(),
    };
    Some(oidc::start(listener.clone(), answers, ready.clone(), tasks))
}

/// How many slow signatures are made at a time.
fn turns() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
