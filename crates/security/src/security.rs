//! The identity of a process from its start to its end.

use std::sync::Arc;

use service::Tasks;

use crate::anchors::{self, Anchors};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::options::{AnchorSource, ControlPlane, Mode, Options, Service};
use crate::sentry::{self, Client};
use crate::tls::{Acceptor, Connector};
use crate::verify::PeerRule;
use crate::{bundle, renewal, spiffe};

const SCOPE: &str = "dapr.runtime.security";

/// Why a process that needs an identity has none; the texts of its fatal line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("control plane trust domain is required")]
    NoTrustDomain,
    #[error(
        "invalid control plane trust domain: trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"
    )]
    TrustDomain,
    #[error("trust anchors are required")]
    NoAnchors,
    #[error("invalid trust anchors: {0}")]
    Anchors(#[from] bundle::Error),
    #[error("sentry address is required when mTLS is enabled; set --sentry-address")]
    NoSentry,
    #[error(
        "current user UID(0) is root. Dapr must be run as a non-root user in Kubernetes environments. To override this check, set the environment variable 'DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK=true'"
    )]
    Root,
    #[error("failed to retrieve the initial identity: {0}")]
    Initial(#[from] sentry::Error),
    #[error("the process was asked to stop before it had an identity")]
    Stopped,
}

/// Who the process is, if anybody; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Security {
    state: Option<Arc<State>>,
}

#[derive(Debug)]
struct State {
    identity: Identity,
    control_plane: ControlPlane,
    /// Whether sidecars speak TLS among themselves.
    mtls: bool,
}

impl Security {
    /// No identity, no encryption, no task.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Gets the first certificate and starts the tasks that keep it and the
    /// anchors fresh; standalone without mTLS it is [`Security::disabled`].
    pub async fn start(options: Options, tasks: &Tasks) -> Result<Self, Error> {
        match options.mode {
            Mode::Standalone if !options.mtls => {
                tracing::warn!(
                    target: SCOPE,
                    "mTLS is disabled. Skipping certificate request and tls validation"
                );
                return Ok(Self::disabled());
            }
            Mode::Standalone => {}
            Mode::Kubernetes => check_user(rustix::process::getuid().as_raw(), options.allow_root)?,
        }
        let end = tasks.token();
        tokio::select! {
            started = Box::pin(begin(options, tasks)) => started,
            () = end.cancelled() => Err(Error::Stopped),
        }
    }

    /// A process with an identity of its own making: Sentry, and tests.
    pub fn with(identity: Identity, control_plane: ControlPlane, mtls: bool) -> Self {
        let state = State {
            identity,
            control_plane,
            mtls,
        };
        Self {
            state: Some(Arc::new(state)),
        }
    }

    /// The identity towards the control plane; none means plaintext.
    pub fn identity(&self) -> Option<&Identity> {
        self.state.as_ref().map(|state| &state.identity)
    }

    /// The identity towards other sidecars; none means plaintext.
    pub fn peer_identity(&self) -> Option<&Identity> {
        let state = self.state.as_ref().filter(|state| state.mtls);
        state.map(|state| &state.identity)
    }

    /// For the server that other sidecars call; none means plaintext.
    pub fn peer_acceptor(&self) -> Option<Acceptor> {
        Some(self.peer_identity()?.acceptor(PeerRule::Any))
    }

    /// Connections to the sidecar of one app, whatever its trust domain.
    pub fn peer_connector(&self, namespace: &str, app_id: &str) -> Connector {
        self.peer_identity()
            .map_or_else(Connector::plain, |identity| {
                identity.connector(PeerRule::Path {
                    namespace: namespace.to_owned(),
                    app_id: app_id.to_owned(),
                })
            })
    }

    /// Connections to a service of the control plane.
    pub fn control_plane_connector(&self, service: Service) -> Connector {
        self.state.as_ref().map_or_else(Connector::plain, |state| {
            let id = state.control_plane.id(service);
            state.identity.connector(PeerRule::Exact(id))
        })
    }
}

async fn begin(options: Options, tasks: &Tasks) -> Result<Security, Error> {
    let domain = &options.control_plane.trust_domain;
    if domain.is_empty() {
        return Err(Error::NoTrustDomain);
    }
    if !spiffe::trust_domain(domain) {
        return Err(Error::TrustDomain);
    }
    let source = options.anchors.clone().ok_or(Error::NoAnchors)?;
    if options.sentry_address.is_empty() {
        return Err(Error::NoSentry);
    }
    let metrics = Metrics::new(options.metrics.as_ref(), &options.app_id);
    let anchors = open(source, tasks).await?;
    let client = Client::new(&options, anchors.clone());
    tracing::info!(target: SCOPE, "Fetching initial identity");
    let first = client.sign().await.inspect_err(|error| {
        metrics.request_failed(error.reason());
        metrics.not_initialized(error.reason());
    })?;
    metrics.initialized(first.not_after());
    let clock = options.clock;
    let at = renewal::due(&first, clock.now());
    let identity = Identity::new(first, anchors, clock.clone());
    tracing::info!(target: SCOPE, "Security is initialized successfully");
    let (renewing, end) = (identity.clone(), tasks.token());
    tasks.spawn("workload identity", async move {
        tokio::select! {
            () = renewal::keep(at, &renewing, &client, &clock, &metrics) => {}
            () = end.cancelled() => {}
        }
    });
    Ok(Security::with(
        identity,
        options.control_plane,
        options.mtls,
    ))
}

/// The configured anchors; those of a file are followed from now on.
async fn open(source: AnchorSource, tasks: &Tasks) -> Result<Anchors, Error> {
    let path = match source {
        AnchorSource::Pem(pem) => {
            let bundle = bundle::TrustBundle::from_pem(pem.as_bytes())?;
            return Ok(Anchors::learning(bundle));
        }
        AnchorSource::File(path) => path,
    };
    let (bundle, seen) = anchors::wait(&path).await?;
    let anchors = Anchors::fixed(bundle);
    let (followed, end) = (anchors.clone(), tasks.token());
    tasks.spawn("trust anchors", async move {
        tokio::select! {
            () = anchors::watch(&path, &followed, seen) => {}
            () = end.cancelled() => {}
        }
    });
    Ok(anchors)
}

fn check_user(uid: u32, allow_root: bool) -> Result<(), Error> {
    tracing::info!(target: SCOPE, "Running in Kubernetes environment as user {uid}");
    if allow_root {
        tracing::warn!(target: SCOPE, "Skipping container UID/GID check due to env override.");
        return Ok(());
    }
    if uid == 0 { Err(Error::Root) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_refused_on_kubernetes_unless_it_is_allowed() {
        assert!(matches!(check_user(0, false), Err(Error::Root)));
        assert!(check_user(0, true).is_ok());
        assert!(check_user(65532, false).is_ok());
    }
}
