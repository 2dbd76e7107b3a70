//! The OpenID Connect server: where verifiers of tokens find the keys.

mod answer;
mod document;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::service::service_fn;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use service::Tasks;
use service::health::Target;
use tokio::net::TcpListener;

use crate::connections::{Protocol, serve};
use crate::tls::Certificate;
use crate::x509::pem;

pub(crate) use answer::Answers;

const SCOPE: &str = "dapr.sentry.server.oidc.http";
const LOOK: Duration = Duration::from_secs(5);

/// What the flags say about the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Empty, or with a leading and no trailing slash.
    pub(crate) prefix: String,
    pub(crate) jwks_uri: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) allowed_hosts: Vec<String>,
    /// Certificate and key; without them it speaks plain HTTP.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

impl Options {
    /// What a prefix of the flags means.
    pub(crate) fn clean_prefix(given: &str) -> String {
        let inner = given.trim_matches('/');
        if inner.is_empty() {
            String::new()
        } else {
            format!("/{inner}")
        }
    }

    /// Lines about the settings, once per start.
    pub(crate) fn announce(&self) {
        let any = self.allowed_hosts.is_empty() || self.allowed_hosts.iter().any(|h| h == "*");
        if any {
            tracing::info!(target: SCOPE, "OIDC server will accept requests for any host");
        } else {
            tracing::info!(
                target: SCOPE,
                "OIDC server will only accept requests for hosts: [{}]",
                self.allowed_hosts.join(" ")
            );
        }
        if !self.prefix.is_empty() {
            let prefix = &self.prefix;
            tracing::info!(target: SCOPE, "Using path prefix \"{prefix}\" for OIDC HTTP endpoints");
        }
    }
}

/// The server at work.
pub(crate) struct Running {
    tls: Option<Tls>,
}

/// The files of the server's certificate, and what was read from them.
#[derive(Clone)]
struct Tls {
    files: (PathBuf, PathBuf),
    current: Arc<OnceLock<Certificate>>,
}

impl Running {
    /// Reads the certificate again; one that cannot be used changes nothing.
    pub(crate) fn reload(&self) {
        let Some((tls, current)) = self.tls.as_ref().and_then(|t| Some((t, t.current.get()?)))
        else {
            return;
        };
        let replaced = tls.read().and_then(|(chain, key)| {
            let replaced = current.replace(chain, &key);
            replaced.map_err(|e| e.to_string())
        });
        if let Err(e) = replaced {
            tracing::warn!(target: SCOPE, "The changed TLS certificate cannot be used: {e}");
        }
    }
}

/// Serves until the tasks end; it waits for the files of its TLS when they are
/// not there yet.
pub(crate) fn start(
    listener: Arc<TcpListener>,
    answers: Answers,
    ready: Target,
    tasks: &Tasks,
) -> Running {
    answers.options.announce();
    let tls = answers.options.tls.clone().map(|files| Tls {
        files,
        current: Arc::default(),
    });
    let running = Running { tls: tls.clone() };
    let answers = Arc::new(answers);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (head, _) = request.into_parts();
        let response = answers.answer(&head);
        async move { Ok::<_, Infallible>(response) }
    });
    let group = tasks.clone();
    tasks.spawn("oidc", async move {
        let address = listener.local_addr();
        let address = address.map_or_else(|e| e.to_string(), |a| a.to_string());
        let end = group.token();
        let config = match tls {
            None => {
                tracing::info!(target: SCOPE, "Starting OIDC HTTP server (insecure) on {address}");
                None
            }
            Some(tls) => {
                let config = tokio::select! {
                    () = end.cancelled() => return,
                    config = tls.when_there() => config,
                };
                tracing::info!(target: SCOPE, "Starting OIDC HTTP server on {address}");
                Some(config)
            }
        };
        serve(listener, config, Protocol::http(), service, &group);
        ready.ready();
        end.cancelled().await;
        tracing::info!(target: SCOPE, "Shutting down OIDC HTTP server");
    });
    running
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    /// Reads certificate and key, as soon as both are there and good.
    async fn when_there(&self) -> Arc<ServerConfig> {
        let (certificate, key) = (self.files.0.display(), self.files.1.display());
        loop {
            match self.load() {
                Ok(config) => {
                    tracing::info!(
                        target: SCOPE,
                        "Loaded TLS certificate from {certificate} and key from {key}"
                    );
                    return config;
                }
                Err(e) => {
                    tracing::warn!(
                        target: SCOPE,
                        "Waiting for TLS certificate and key files to be available: \
                         {certificate}, {key}"
                    );
                    tracing::debug!(target: SCOPE, "They cannot be used yet: {e}");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let (chain, key) = self.read()?;
        let certificate = Certificate::new(chain, &key).map_err(|e| e.to_string())?;
        let config = certificate.server(&[b"h2", b"http/1.1"]);
        let config = config.map_err(|e| e.to_string())?;
        // Only this task sets it, and only once.
        let _ = self.current.set(certificate);
        Ok(config)
    }

    fn read(&self) -> Result<Pair, String> {
        let read = |path| std::fs::read(path).map_err(|e| service::net::reason(&e));
        let chain = pem::certificates(&read(&self.files.0)?)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.files.1)?);
        Ok((chain, key.map_err(|e| e.to_string())?))
    }
}
