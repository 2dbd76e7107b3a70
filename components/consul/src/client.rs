//! The HTTP client of the agent's API: one request, its answer of bounded size.

use std::net::SocketAddr;
use std::time::Duration;

use component::metadata::Sensitive;
use component::{Error, ErrorKind, Result};
use reqwest::{Certificate, Identity, Method, StatusCode, Url};

use crate::config::{ClientConfig, TlsConfig};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
const LARGEST: usize = 16 << 20;

pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    config: ClientConfig,
}

/// A request without what all have in common.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) cache_control: Option<String>,
    /// In place of the configured one.
    pub(crate) token: Option<Sensitive>,
    pub(crate) body: Option<String>,
    /// How long the agent may let the answer wait.
    pub(crate) wait: Duration,
}

pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// Changes when the answer may have changed; none when the agent gives none.
    pub(crate) index: Option<u64>,
}

impl Client {
    /// `config` is complete.
    pub(crate) async fn new(config: ClientConfig) -> Result<Self> {
        // The client takes the process's provider; another may be there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let text = format!("{}://{}", config.scheme, config.address);
        let mut base = Url::parse(&text).map_err(|e| {
            Error::config(format!(
                "consul address {:?} is not valid: {e}",
                config.address
            ))
        })?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none());
        if config.scheme == "https" {
            builder = tls(builder, &config.tls)?;
            let name = &config.tls.address;
            if !name.is_empty() && !config.tls.insecure_skip_verify {
                // The name is checked by calling the agent by it, at its real address.
                builder = builder.resolve_to_addrs(name, &addresses(&base).await?);
                base.set_host(Some(name)).map_err(|e| {
                    Error::config(format!("TLSConfig.Address {name:?} is no host: {e}"))
                })?;
            }
        }
        let http = builder
            .build()
            .map_err(|e| Error::config(format!("couldn't set up TLS for consul: {e}")))?;
        Ok(Self { http, base, config })
    }

    pub(crate) async fn send(&self, method: Method, request: Request) -> Result<Answer> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("v1").extend(&request.path);
        }
        let mut query = request.query;
        let has = |query: &[(&str, String)], name| query.iter().any(|(n, _)| *n == name);
        if !self.config.datacenter.is_empty() && !has(&query, "dc") {
            query.push(("dc", self.config.datacenter.clone()));
        }
        if !self.config.wait_time.0.is_zero() && !has(&query, "wait") {
            query.push(("wait", format!("{}ms", self.config.wait_time.0.as_millis())));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut call = self
            .http
            .request(method, url)
            .timeout(ANSWER + request.wait);
        if let Some(auth) = &self.config.http_auth {
            call = call.basic_auth(&auth.username, Some(&auth.password.0));
        }
        let token = request.token.as_ref().unwrap_or(&self.config.token);
        if !token.0.is_empty() {
            call = call.header("X-Consul-Token", &token.0);
        }
        if let Some(value) = request.cache_control {
            call = call.header("Cache-Control", value);
        }
        if let Some(body) = request.body {
            call = call.header("Content-Type", "application/json").body(body);
        }
        self.answer(call).await
    }

    async fn answer(&self, call: reqwest::RequestBuilder) -> Result<Answer> {
        let mut response = call.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let index = response.headers().get("X-Consul-Index");
        let index = index.and_then(|v| v.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            if body.len() + part.len() > LARGEST {
                let message = format!("consul answered with more than {} MiB", LARGEST >> 20);
                return Err(Error::internal(message));
            }
            body.extend_from_slice(&part);
        }
        if status.is_success() {
            return Ok(Answer { body, index });
        }
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
            StatusCode::BAD_REQUEST => ErrorKind::InvalidConfig,
            _ => ErrorKind::Unavailable,
        };
        let text = String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned();
        let message = format!("Unexpected response code: {} ({text})", status.as_u16());
        Err(Error::new(kind, message))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let message = format!(
            "couldn't reach consul at {}: {cause}",
            self.base.origin().ascii_serialization()
        );
        Error::new(ErrorKind::Unavailable, message).with_source(error.without_url())
    }
}

async fn addresses(url: &Url) -> Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host, port)).await;
    let found =
        found.map_err(|e| Error::config(format!("consul address: cannot find host {host}: {e}")));
    Ok(found?.collect())
}

fn tls(mut builder: reqwest::ClientBuilder, tls: &TlsConfig) -> Result<reqwest::ClientBuilder> {
    if tls.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(certificates) = certificates(tls)? {
        builder = builder.tls_certs_only(certificates);
    }
    if !tls.cert_file.is_empty() {
        let pem = format!("{}\n{}", read(&tls.cert_file)?, read(&tls.key_file)?);
        // The cause could show a part of the key.
        let identity = Identity::from_pem(pem.as_bytes()).map_err(|_| {
            Error::config("consul CertFile and KeyFile are not a PEM certificate and its key")
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn certificates(tls: &TlsConfig) -> Result<Option<Vec<Certificate>>> {
    let mut pem = String::new();
    if !tls.ca_file.is_empty() {
        pem = read(&tls.ca_file)?;
    } else if !tls.ca_path.is_empty() {
        let folder = &tls.ca_path;
        let files = std::fs::read_dir(folder)
            .map_err(|e| Error::config(format!("couldn't read certificates from {folder}: {e}")))?;
        for file in files.filter_map(|f| f.ok()).filter(|f| f.path().is_file()) {
            pem.push_str(&read(&file.path().display().to_string())?);
            pem.push('\n');
        }
    } else {
        return Ok(None);
    }
    let found = Certificate::from_pem_bundle(pem.as_bytes())
        .map_err(|e| Error::config(format!("consul CAFile or CAPath is not PEM: {e}")))?;
    if found.is_empty() {
        return Err(Error::config(
            "consul CAFile or CAPath holds no certificate",
        ));
    }
    Ok(Some(found))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::config(format!("couldn't read {path}: {e}")))
}
