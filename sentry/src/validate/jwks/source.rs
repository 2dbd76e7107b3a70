//! Where the keys of the jwks validator come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::keys::{JwkSet, MAX_JWKS};
use crate::x509::pem;

const REFRESH: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(30);
/// A file is read again this often: it costs nothing.
const FILE_REFRESH: Duration = Duration::from_secs(5);

/// A URL, a file, or the set itself.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Url(reqwest::Url, Box<reqwest::Client>),
    File(PathBuf),
    Inline(JwkSet),
}

/// The options of the validator, checked.
#[derive(Clone, Debug)]
pub(crate) struct JwksOptions {
    pub(crate) source: Source,
    refresh: Duration,
}

impl JwksOptions {
    /// Reads the options as the Configuration has them.
    pub(crate) fn parse(options: &BTreeMap<String, Value>) -> Result<Self, String> {
        let text = |name: &str| match options.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(format!(
                "option '{name}' of the jwks validator must be a string"
            )),
        };
        let duration = |name: &str, least: Duration, default: Duration| {
            let given = text(name)?;
            if given.is_empty() {
                return Ok(default);
            }
            let parsed = service::duration::parse(&given)
                .map_err(|e| format!("option '{name}' of the jwks validator: {e}"))?;
            Ok::<_, String>(if parsed > least { parsed } else { default })
        };
        let source = text("source")?;
        if source.is_empty() {
            return Err("option 'source' of the jwks validator is required".into());
        }
        let refresh = duration("minRefreshInterval", Duration::from_secs(1), REFRESH)?;
        let timeout = duration("requestTimeout", Duration::from_millis(1), TIMEOUT)?;
        let source = if source.starts_with("http://") || source.starts_with("https://") {
            let url = source
                .parse()
                .map_err(|e| format!("option 'source' of the jwks validator: {e}"))?;
            Source::Url(url, Box::new(client(&text("caCertificate")?, timeout)?))
        } else if source.trim_start().starts_with('{') {
            Source::Inline(JwkSet::parse(source.as_bytes())?)
        } else {
            Source::File(source.into())
        };
        Ok(Self { source, refresh })
    }

    pub(super) fn refresh_every(&self) -> Duration {
        match self.source {
            Source::File(_) => FILE_REFRESH,
            _ => self.refresh,
        }
    }

    /// The set as it is now.
    pub(super) async fn fetch(&self) -> Result<JwkSet, String> {
        match &self.source {
            Source::Inline(set) => Ok(set.clone()),
            Source::File(path) => {
                let failed = |e| format!("{}: {e}", path.display());
                JwkSet::parse(&read(path).map_err(failed)?).map_err(failed)
            }
            Source::Url(url, client) => download(client, url).await,
        }
    }
}

async fn download(client: &reqwest::Client, url: &reqwest::Url) -> Result<JwkSet, String> {
    // The URL may hold a password; reqwest's errors would show it.
    let failed = |e: reqwest::Error| e.without_url().to_string();
    let response = client.get(url.clone()).send().await.map_err(failed)?;
    let mut response = response.error_for_status().map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_JWKS {
            return Err(format!("the JWKS has more than {MAX_JWKS} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    JwkSet::parse(&body)
}

/// A client that trusts the given certificates, or else those of the system.
fn client(ca: &str, timeout: Duration) -> Result<reqwest::Client, String> {
    let failed =
        |e: &dyn std::fmt::Display| format!("option 'caCertificate' of the jwks validator: {e}");
    let mut roots = rustls::RootCertStore::empty();
    if ca.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    } else {
        let text = if ca.contains("-----BEGIN") {
            ca.as_bytes().to_vec()
        } else {
            read(Path::new(ca)).map_err(|e| failed(&e))?
        };
        for certificate in pem::certificates(&text).map_err(|e| failed(&e))? {
            roots.add(certificate).map_err(|e| failed(&e))?;
        }
    }
    let tls = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(timeout)
        .build()
        .map_err(|e| failed(&e))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let len = std::fs::metadata(path).map_err(|e| service::net::reason(&e))?;
    if len.len() > MAX_JWKS as u64 {
        return Err(format!("it has more than {MAX_JWKS} bytes"));
    }
    std::fs::read(path).map_err(|e| service::net::reason(&e))
}
