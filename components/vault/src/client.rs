//! The HTTP client: one request to the server, its answer of bounded size.

use std::net::SocketAddr;
use std::time::Duration;

use component::{Error, ErrorKind, Result};
use reqwest::{Certificate, Method, StatusCode, Url};

use crate::config::{Config, Token};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
const LARGEST: usize = 16 << 20;

pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Token,
}

impl Client {
    pub(crate) async fn new(config: &Config) -> Result<Self> {
        // The client takes the process's provider; another may be there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let invalid = |e| {
            Error::config(format!(
                "vaultAddr '{}' is not a URL: {e}",
                config.vault_addr
            ))
        };
        let mut base = Url::parse(config.vault_addr.trim_end_matches('/')).map_err(invalid)?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none());
        let skip = config.skip_verify == "true";
        if skip {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(certificates) = certificates(config)? {
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(name) = config
            .tls_server_name
            .as_deref()
            .filter(|n| !n.is_empty() && !skip)
        {
            // The name is checked by calling the server by it, at its real address.
            builder = builder.resolve_to_addrs(name, &addresses(&base).await?);
            base.set_host(Some(name))
                .map_err(|e| Error::config(format!("tlsServerName '{name}' is no host: {e}")))?;
        }
        let http = builder
            .build()
            .map_err(|e| Error::config(format!("couldn't set up TLS for vault: {e}")))?;
        Ok(Self {
            http,
            base,
            token: config.token()?,
        })
    }

    /// The status and body of an answer. `path` is relative, its parts encoded.
    pub(crate) async fn send(&self, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>)> {
        let url = format!("{}/v1/{path}", self.base.as_str().trim_end_matches('/'));
        let request = self
            .http
            .request(method, url)
            .header("X-Vault-Token", self.token().await?);
        let response = request
            .header("X-Vault-Request", "true")
            .send()
            .await
            .map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if response
            .content_length()
            .is_some_and(|n| n > LARGEST as u64)
        {
            return Err(Error::internal(format!(
                "vault answered with more than {} MiB",
                LARGEST >> 20
            )));
        }
        let body = response.bytes().await.map_err(|e| self.unreachable(e))?;
        Ok((status, body.into()))
    }

    async fn token(&self) -> Result<String> {
        match &self.token {
            Token::Text(token) => Ok(token.0.clone()),
            Token::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|e| {
                    Error::config(format!("couldn't read vault token from {path}: {e}"))
                })?;
                Ok(text.trim().to_owned())
            }
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let message = format!(
            "couldn't reach vault at {}: {cause}",
            self.base.origin().ascii_serialization()
        );
        Error::new(ErrorKind::Unavailable, message).with_source(error.without_url())
    }
}

async fn addresses(url: &Url) -> Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host, port)).await;
    Ok(found
        .map_err(|e| Error::config(format!("vaultAddr: cannot find host {host}: {e}")))?
        .collect())
}

/// The authorities that the metadata names, in its order of preference.
fn certificates(config: &Config) -> Result<Option<Vec<Certificate>>> {
    let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map_err(|e| Error::config(format!("couldn't read certificates from {path}: {e}")))
    };
    let pem = if let Some(pem) = given(&config.ca_pem) {
        pem
    } else if let Some(folder) = given(&config.ca_path) {
        let files = std::fs::read_dir(&folder)
            .map_err(|e| Error::config(format!("couldn't read certificates from {folder}: {e}")))?;
        let mut all = String::new();
        for file in files.filter_map(|f| f.ok()).filter(|f| f.path().is_file()) {
            all.push_str(&read(&file.path().display().to_string())?);
            all.push('\n');
        }
        all
    } else if let Some(file) = given(&config.ca_cert) {
        read(&file)?
    } else {
        return Ok(None);
    };
    let found = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| {
        Error::config(format!(
            "the certificates of caPem, caPath or caCert are not PEM: {e}"
        ))
    })?;
    if found.is_empty() {
        return Err(Error::config("caPem, caPath or caCert hold no certificate"));
    }
    Ok(Some(found))
}
