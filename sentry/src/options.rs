//! What the flags mean, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use security::SpiffeId;
use security::spiffe::trust_domain;
use service::flags::Parsed;

use crate::bundle::{JwtOptions, Owner, Paths};
use crate::keys::Algorithm;
use crate::oidc;

/// Everything that the flags and the environment decide.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) config: String,
    /// Access from outside of the cluster; `None` in standalone mode.
    pub(crate) kubeconfig: Option<String>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) health_port: u16,
    /// `None` without metrics.
    pub(crate) metrics_port: Option<u16>,
    pub(crate) trust_domain: String,
    pub(crate) namespace: String,
    pub(crate) paths: Paths,
    pub(crate) jwt: Option<JwtOptions>,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) jwt_ttl: Duration,
    pub(crate) oidc: Option<oidc::Options>,
}

impl Options {
    /// Reads flags that [`check`] has passed.
    pub(crate) fn read(
        flags: &Parsed,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let trust_domain = flags.string("trust-domain").to_owned();
        if !self::trust_domain(&trust_domain) {
            return Err(format!(
                "invalid trust domain {}: only lower case letters, digits, dots, dashes and \
                 underscores may be in it",
                service::quote::quoted(&trust_domain)
            ));
        }
        let namespace = env("NAMESPACE").filter(|n| !n.is_empty());
        let jwt = match flags.boolean("jwt-enabled") {
            true => Some(jwt(flags)?),
            false => None,
        };
        let metrics_port = match flags.boolean("enable-metrics") {
            true => Some(
                flags
                    .string("metrics-port")
                    .parse()
                    .map_err(|_| "failed to parse metrics port: it is no port".to_owned())?,
            ),
            false => None,
        };
        let oidc = flags.boolean("oidc-enabled") && jwt.is_some();
        let cluster = flags.string("mode") == "kubernetes";
        Ok(Self {
            config: flags.string("config").to_owned(),
            kubeconfig: cluster.then(|| flags.string("kubeconfig").to_owned()),
            host: flags.string("listen-address").to_owned(),
            port: port(flags, "port")?,
            health_port: port(flags, "healthz-port")?,
            metrics_port,
            trust_domain,
            namespace: namespace.unwrap_or_else(|| "default".into()),
            paths: paths(flags),
            jwt,
            jwt_issuer: given(flags, "jwt-issuer"),
            jwt_ttl: flags.duration("jwt-ttl"),
            oidc: oidc.then(|| self::oidc(flags)).transpose()?,
        })
    }

    /// Sentry's own identity.
    pub(crate) fn id(&self) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.namespace, "dapr-sentry")
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner {
            trust_domain: self.trust_domain.clone(),
            id: self.id().to_string(),
        }
    }

    /// The files whose folders are watched.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Path> {
        let Paths {
            root,
            issuer,
            key,
            jwt_key,
            jwks,
        } = &self.paths;
        let tls = self.oidc.as_ref().and_then(|o| o.tls.as_ref());
        let tls = tls.into_iter().flat_map(|(cert, key)| [cert, key]);
        let all = [root, issuer, key, jwt_key, jwks].into_iter().chain(tls);
        all.map(PathBuf::as_path)
    }
}

/// Values that contradict each other end the start.
pub(crate) fn check(flags: &Parsed) -> Result<(), String> {
    let mode = flags.string("mode");
    if !["standalone", "kubernetes"].contains(&mode) {
        return Err(format!("Invalid options: invalid mode: {mode}"));
    }
    let given = |name| !flags.string(name).is_empty();
    if given("jwt-issuer") && !flags.boolean("jwt-enabled") {
        let text = "Invalid options: jwt-issuer cannot be set when jwt-enabled is false";
        return Err(text.into());
    }
    let tls = flags.boolean("oidc-enabled") && flags.boolean("oidc-server-tls-enabled");
    if tls && !given("oidc-server-tls-cert-file") {
        let text = "Invalid options: oidc-server-tls-cert-file is required when OIDC HTTP server \
                    is enabled (unless oidc-server-tls-enabled is false)";
        return Err(text.into());
    }
    if given("oidc-server-tls-cert-file") != given("oidc-server-tls-key-file") {
        let text = "both OIDC TLS certificate and key must be provided if one is specified";
        return Err(text.into());
    }
    Ok(())
}

fn given(flags: &Parsed, name: &str) -> Option<String> {
    Some(flags.string(name).to_owned()).filter(|text| !text.is_empty())
}

fn port(flags: &Parsed, name: &str) -> Result<u16, String> {
    let port = flags.int(name);
    u16::try_from(port).map_err(|_| format!("{name} is {port}, which is no port"))
}

/// Names of the certificates are relative to the folder; other names of the
/// token files count only when they are absolute.
fn paths(flags: &Parsed) -> Paths {
    let folder = PathBuf::from(flags.string("issuer-credentials"));
    let joined = |name| folder.join(flags.string(name));
    let absolute = |name, default| {
        let given = Path::new(flags.string(name));
        if given.is_absolute() {
            given.to_owned()
        } else {
            folder.join(default)
        }
    };
    Paths {
        root: joined("issuer-ca-filename"),
        issuer: joined("issuer-certificate-filename"),
        key: joined("issuer-key-filename"),
        jwt_key: absolute("jwt-key-filename", "jwt.key"),
        jwks: absolute("jwks-filename", "jwks.json"),
    }
}

fn jwt(flags: &Parsed) -> Result<JwtOptions, String> {
    let name = flags.string("jwt-signing-algorithm");
    let algorithm = Algorithm::parse(name).ok_or_else(|| {
        format!(
            "unsupported JWT signing algorithm {}; set jwt-signing-algorithm to RS or PS with \
             256, 384 or 512, ES256, ES384, ES512 or EdDSA",
            service::quote::quoted(name)
        )
    })?;
    let key_id = given(flags, "jwt-key-id");
    Ok(JwtOptions { algorithm, key_id })
}

fn oidc(flags: &Parsed) -> Result<oidc::Options, String> {
    let certificate = given(flags, "oidc-server-tls-cert-file").map(PathBuf::from);
    let key = given(flags, "oidc-server-tls-key-file").map(PathBuf::from);
    Ok(oidc::Options {
        host: flags.string("oidc-server-listen-address").to_owned(),
        port: port(flags, "oidc-server-listen-port")?,
        prefix: oidc::Options::clean_prefix(flags.string("oidc-path-prefix")),
        jwks_uri: given(flags, "oidc-jwks-uri"),
        issuer: given(flags, "jwt-issuer"),
        allowed_hosts: flags.strings("oidc-allowed-hosts").to_vec(),
        tls: certificate.zip(key),
    })
}
