//! What a process says about its identity, and where it is to be had.

use std::path::PathBuf;

use service::metrics::Registry;

use crate::clock::Clock;
use crate::spiffe::SpiffeId;

/// Everything [`crate::Security::start`] needs. [`Options::from_env`] gives a start.
#[derive(Clone, Debug)]
pub struct Options {
    pub app_id: String,
    pub namespace: String,
    pub control_plane: ControlPlane,
    /// `host:port`.
    pub sentry_address: String,
    /// Whether sidecars speak TLS to each other; standalone processes have no
    /// identity at all without it.
    pub mtls: bool,
    pub mode: Mode,
    pub anchors: Option<AnchorSource>,
    /// The file of `DAPR_SENTRY_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The id asked for instead of the app id: `SENTRY_LOCAL_IDENTITY`.
    pub local_identity: Option<String>,
    pub jwt_audiences: Vec<String>,
    pub key: KeyKind,
    /// Whether uid 0 is fine on Kubernetes.
    pub allow_root: bool,
    pub metrics: Option<Registry>,
    /// The system's time unless a test has another.
    pub clock: Clock,
}

/// Which control plane a process belongs to.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub trust_domain: String,
    pub namespace: String,
}

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Standalone,
    Kubernetes,
}

/// Where trust anchors come from.
#[derive(Clone, Debug)]
pub enum AnchorSource {
    /// PEM text, as in `DAPR_TRUST_ANCHORS`.
    Pem(String),
    /// A file that is followed.
    File(PathBuf),
}

/// The kind of the key in each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Ed25519,
    /// For webhooks, which the API server of Kubernetes calls.
    Rsa2048,
}

/// A service of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Injector,
    Operator,
    Placement,
    Scheduler,
    Sentry,
}

impl Options {
    /// Defaults, and what comes from the environment: `DAPR_TRUST_ANCHORS`,
    /// `DAPR_SENTRY_TOKEN_FILE`, `SENTRY_LOCAL_IDENTITY` and
    /// `DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK`.
    ///
    /// The error is a token file that is set to nothing.
    pub fn from_env(
        app_id: &str,
        namespace: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let token_file = env("DAPR_SENTRY_TOKEN_FILE");
        if token_file.as_ref().is_some_and(String::is_empty) {
            return Err("DAPR_SENTRY_TOKEN_FILE is set but empty; set it to a path".into());
        }
        let filled = |name| env(name).filter(|value: &String| !value.is_empty());
        let skip = env("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK");
        Ok(Self {
            app_id: app_id.to_owned(),
            namespace: namespace.to_owned(),
            control_plane: ControlPlane::default(),
            sentry_address: String::new(),
            mtls: false,
            mode: Mode::Standalone,
            anchors: filled("DAPR_TRUST_ANCHORS").map(AnchorSource::Pem),
            token_file: token_file.map(PathBuf::from),
            local_identity: filled("SENTRY_LOCAL_IDENTITY"),
            jwt_audiences: Vec::new(),
            key: KeyKind::Ed25519,
            allow_root: skip.is_some_and(|value| value == "true"),
            metrics: None,
            clock: Clock::default(),
        })
    }

    /// The id sent to Sentry.
    pub(crate) fn requested_id(&self) -> &str {
        self.local_identity.as_deref().unwrap_or(&self.app_id)
    }

    /// The trust domain sent to Sentry: only services of the control plane in
    /// its own namespace ask for one.
    pub(crate) fn requested_trust_domain(&self) -> Option<&str> {
        let inside = self.namespace == self.control_plane.namespace
            && Service::ALL.iter().any(|s| s.app_id() == self.app_id);
        inside.then_some(&*self.control_plane.trust_domain)
    }
}

impl Default for ControlPlane {
    fn default() -> Self {
        Self {
            trust_domain: "localhost".into(),
            namespace: "default".into(),
        }
    }
}

impl ControlPlane {
    /// The identity of one of its services.
    pub fn id(&self, service: Service) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.namespace, service.app_id())
    }
}

impl Service {
    const ALL: [Self; 5] = [
        Self::Injector,
        Self::Operator,
        Self::Placement,
        Self::Scheduler,
        Self::Sentry,
    ];

    pub fn app_id(self) -> &'static str {
        match self {
            Self::Injector => "dapr-injector",
            Self::Operator => "dapr-operator",
            Self::Placement => "dapr-placement",
            Self::Scheduler => "dapr-scheduler",
            Self::Sentry => "dapr-sentry",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_fills_the_options() {
        let env = |name: &str| match name {
            "DAPR_TRUST_ANCHORS" => Some("pem".to_owned()),
            "DAPR_SENTRY_TOKEN_FILE" => Some("/token".to_owned()),
            "SENTRY_LOCAL_IDENTITY" => Some(String::new()),
            "DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK" => Some("1".to_owned()),
            _ => None,
        };
        let options = Options::from_env("cart", "default", env).unwrap();
        assert!(matches!(&options.anchors, Some(AnchorSource::Pem(pem)) if pem == "pem"));
        assert_eq!(options.token_file, Some("/token".into()));
        assert_eq!(options.requested_id(), "cart");
        assert!(!options.allow_root);
        let empty = |name: &str| (name == "DAPR_SENTRY_TOKEN_FILE").then(String::new);
        assert!(Options::from_env("cart", "default", empty).is_err());
    }

    #[test]
    fn only_the_control_plane_asks_for_a_trust_domain() {
        let check = |app_id: &str, namespace: &str, expected: Option<&str>| {
            let options = Options::from_env(app_id, namespace, |_| None).unwrap();
            assert_eq!(options.requested_trust_domain(), expected);
        };
        check("dapr-placement", "default", Some("localhost"));
        check("dapr-placement", "other", None);
        check("cart", "default", None);
    }
}
