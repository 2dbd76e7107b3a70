//! One POST to a collector.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use rustls::{ClientConfig, RootCertStore};
use service::Tasks;

use super::Failure;

const AGENT: &str = concat!("dapr-rs/", env!("CARGO_PKG_VERSION"));
/// What a collector answers says how many spans it did not want, or why.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A collector's address, and the connection once there is one.
pub(super) struct Client {
    url: Uri,
    headers: HeaderMap,
    timeout: Duration,
    http2: bool,
    /// Loading the system's roots blocks, so it is done on a thread of its own.
    tasks: Tasks,
    connected: Option<reqwest::Client>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Client {
    pub(super) fn new(url: Uri, timeout: Duration, tasks: Tasks) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            timeout,
            http2: false,
            tasks,
            connected: None,
        }
    }

    pub(super) fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    pub(super) fn with_http2(self) -> Self {
        Self {
            http2: true,
            ..self
        }
    }

    /// Sends the body; every failure on the way is worth another try.
    pub(super) async fn post(
        &mut self,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let client = match &self.connected {
            Some(client) => client.clone(),
            None => {
                let client = self.connect().await.map_err(again)?;
                self.connected.insert(client).clone()
            }
        };
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        if self.http2 {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let request = client.post(self.url.to_string()).headers(headers);
        let sent = async {
            let response = request
                .body(body.into())
                .send()
                .await
                .map_err(|e| chain(&e.without_url()))?;
            let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            let body = body.map_err(|_| "the answer broke off or is too long".to_owned())?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
                trailers,
            })
        };
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(sent) => sent.map_err(again),
            Err(_) => {
                // The connection may lead nowhere, and HTTP/2 would keep it.
                self.connected = None;
                Err(again(format!("no answer within {:?}", self.timeout)))
            }
        }
    }

    async fn connect(&self) -> Result<reqwest::Client, String> {
        let secure = self.url.scheme_str() == Some("https");
        let roots = if secure {
            let loaded = self
                .tasks
                .spawn_blocking("trace exporter roots", system_roots);
            loaded
                .await
                .map_err(|e| format!("cannot load the system's roots: {e}"))?
        } else {
            RootCertStore::empty()
        };
        self.client(roots)
    }

    /// Connects with these roots instead of the system's.
    #[cfg(test)]
    pub(super) fn trust(&mut self, roots: RootCertStore) {
        self.connected = Some(self.client(roots).unwrap());
    }

    fn client(&self, roots: RootCertStore) -> Result<reqwest::Client, String> {
        let secure = self.url.scheme_str() == Some("https");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocol: &[u8] = if self.http2 { b"h2" } else { b"http/1.1" };
        tls.alpn_protocols = vec![protocol.to_vec()];
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(1);
        if self.http2 {
            builder = builder.http2_prior_knowledge();
        }
        // A proxy of the environment is for hosts elsewhere, and cannot carry
        // gRPC without TLS.
        if self.is_near() || (self.http2 && !secure) {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|e| chain(&e))
    }

    fn is_near(&self) -> bool {
        let host = self.url.host().unwrap_or("").trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

/// Host and port; a URL may hold a password.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.host().unwrap_or(""))?;
        match self.url.port_u16() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Answer {
    /// By the status alone. The answer's text is not shown: it may repeat
    /// what it was sent.
    pub(super) fn success(&self) -> Result<(), Failure> {
        if self.status.is_success() {
            return Ok(());
        }
        let busy = matches!(self.status.as_u16(), 429 | 502 | 503 | 504);
        Err(Failure {
            reason: format!("it answers {}", self.status),
            retry: busy.then(|| self.retry_after()),
        })
    }

    fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        text.parse().ok().map(Duration::from_secs)
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn again(reason: String) -> Failure {
    Failure {
        reason,
        retry: Some(None),
    }
}

/// The error and what caused it.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
