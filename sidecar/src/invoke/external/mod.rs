//! Calls that leave Dapr: to a URL, or to the server of an HTTPEndpoint. The
//! caller's own sidecar makes them.

mod tls;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;

pub(crate) use self::tls::Documents;
use super::Failure;
use super::local::{Answer, Inbound};
use crate::api::auth::HEADER as TOKEN;
use crate::api::count::counted;
use crate::api::pipeline::Pipeline;
use crate::app::reason;
use crate::load::slots::Slots;

const DIAL: Duration = Duration::from_secs(15);

/// An HTTPEndpoint with its secrets filled in. It has no `Debug`: its headers
/// may hold some.
pub(crate) struct Endpoint {
    base_url: String,
    headers: HeaderMap,
    documents: Documents,
    client: OnceLock<Client>,
    permits: Option<Arc<Semaphore>>,
}

impl Endpoint {
    /// The error names what cannot be used, never its value.
    pub(crate) fn new(
        base_url: &str,
        headers: Vec<(String, String)>,
        documents: Documents,
        max_concurrency: Option<usize>,
    ) -> Result<Self, String> {
        let base: Uri = base_url
            .parse()
            .map_err(|_| "spec.baseUrl is no URL".to_owned())?;
        if !matches!(base.scheme_str(), Some("http" | "https")) || base.authority().is_none() {
            return Err("spec.baseUrl has to begin with http:// or https://".into());
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let text = HeaderValue::try_from(value);
            match (HeaderName::try_from(&name), text) {
                (Ok(name), Ok(value)) => drop(map.insert(name, value)),
                _ => return Err(format!("header '{name}' of spec.headers is not valid")),
            }
        }
        if !documents.is_empty() {
            documents.config()?;
        }
        Ok(Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            headers: map,
            documents,
            client: OnceLock::new(),
            permits: max_concurrency.map(|n| Arc::new(Semaphore::new(n))),
        })
    }
}

impl Endpoint {
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }
}

/// Everything outside that can be called.
pub(crate) struct External {
    pub(crate) endpoints: Slots<Endpoint>,
    plain: Plain,
    /// That of calls into the app.
    pipeline: Pipeline,
}

/// Targets that are given as URLs.
struct Plain {
    h2c: bool,
    token: Option<HeaderValue>,
    client: OnceLock<Result<Client, String>>,
    permits: Option<Arc<Semaphore>>,
}

/// One call's way out.
struct Way<'a> {
    client: &'a Client,
    headers: Option<&'a HeaderMap>,
    token: Option<&'a HeaderValue>,
}

impl External {
    /// `h2c` says that the app itself is spoken to in HTTP/2 without TLS; URLs
    /// are called the same way. Nothing is set up before the first call.
    pub(crate) fn new(
        endpoints: Slots<Endpoint>,
        pipeline: Pipeline,
        h2c: bool,
        token: Option<HeaderValue>,
        max_concurrency: Option<usize>,
    ) -> Self {
        Self {
            endpoints,
            pipeline,
            plain: Plain {
                h2c,
                token,
                client: OnceLock::new(),
                permits: max_concurrency.map(|n| Arc::new(Semaphore::new(n))),
            },
        }
    }

    /// Whether a target is a URL.
    pub(crate) fn is_url(target: &str) -> bool {
        target.starts_with("http://") || target.starts_with("https://")
    }

    /// Calls `url`, which begins with its scheme.
    pub(super) async fn url(&self, url: &str, inbound: Inbound) -> Result<Answer, Failure> {
        let plain = &self.plain;
        let client = plain.client.get_or_init(|| {
            let config = Documents::default().config()?;
            client(config, Policy::none(), plain.h2c)
        });
        let client = client.as_ref().map_err(|e| Failure::from(e.clone()))?;
        let way = Way {
            client,
            headers: None,
            token: plain.token.as_ref(),
        };
        self.call(
            url.trim_end_matches('/'),
            &way,
            plain.permits.clone(),
            inbound,
        )
        .await
    }

    /// Calls the server of an HTTPEndpoint.
    pub(super) async fn endpoint(
        &self,
        endpoint: &Endpoint,
        inbound: Inbound,
    ) -> Result<Answer, Failure> {
        let client = match endpoint.client.get() {
            Some(client) => client,
            None => {
                let made = client(endpoint.documents.config()?, Policy::default(), false)?;
                endpoint.client.get_or_init(|| made)
            }
        };
        let way = Way {
            client,
            headers: Some(&endpoint.headers),
            token: None,
        };
        let permits = endpoint.permits.clone();
        self.call(&endpoint.base_url, &way, permits, inbound).await
    }

    async fn call(
        &self,
        base: &str,
        way: &Way<'_>,
        permits: Option<Arc<Semaphore>>,
        inbound: Inbound,
    ) -> Result<Answer, Failure> {
        let permit = match permits {
            Some(permits) => permits.acquire_owned().await.ok(),
            None => None,
        };
        let mut req = inbound.into_http()?;
        let url = format!("{base}{}", req.uri());
        *req.uri_mut() = url
            .parse()
            .map_err(|_| format!("'{base}' with this method is no valid URL"))?;
        let response = if self.pipeline.is_empty() {
            way.send(req).await?
        } else {
            let last = |req| Box::pin(way.send(req)) as _;
            self.pipeline.run(req, &last).await?
        };
        let response = match permit {
            Some(permit) => response.map(|body| Body::new(counted(body, move |_, _| drop(permit)))),
            None => response,
        };
        Ok(Answer::from_http(response))
    }
}

impl Way<'_> {
    async fn send(&self, mut req: Request<Body>) -> Result<Response, Failure> {
        if let Some(headers) = self.headers {
            for (name, value) in headers {
                req.headers_mut().insert(name, value.clone());
            }
        }
        if let Some(token) = self.token {
            req.headers_mut().insert(TOKEN, token.clone());
        }
        let (parts, body) = req.into_parts();
        let empty = http_body::Body::is_end_stream(&body);
        let url = parts.uri.to_string();
        let mut request = self
            .client
            .request(parts.method, url)
            .headers(parts.headers);
        if !empty {
            request = request.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        let response = request.send().await.map_err(|e| {
            // The address is the caller's own; a query may hold a secret.
            reason(&e.without_url())
        })?;
        Ok(http::Response::<reqwest::Body>::from(response).map(Body::new))
    }
}

fn client(tls: rustls::ClientConfig, redirects: Policy, h2c: bool) -> Result<Client, String> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(DIAL)
        .redirect(redirects)
        .tcp_nodelay(true)
        .referer(false);
    if h2c {
        builder = builder.http2_prior_knowledge();
    }
    builder
        .build()
        .map_err(|e| format!("cannot set up the HTTP client: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_cannot_work_says_what_is_wrong() {
        let open = |url: &str, headers: &[(&str, &str)], documents: Documents| {
            let headers = headers.iter().map(|(n, v)| ((*n).into(), (*v).into()));
            Endpoint::new(url, headers.collect(), documents, None).map(|_| ())
        };
        let none = Documents::default;
        assert_eq!(open("http://host:1/base/", &[("a", "b")], none()), Ok(()));
        for (url, headers, documents, expected) in [
            (
                "host",
                &[][..],
                none(),
                "spec.baseUrl has to begin with http:// or https://",
            ),
            (
                "ftp://host",
                &[],
                none(),
                "spec.baseUrl has to begin with http:// or https://",
            ),
            ("http://ho st", &[], none(), "spec.baseUrl is no URL"),
            (
                "http://host",
                &[("a b", "secret")],
                none(),
                "header 'a b' of spec.headers is not valid",
            ),
            (
                "http://host",
                &[("a", "sec\nret")],
                none(),
                "header 'a' of spec.headers is not valid",
            ),
            (
                "https://host",
                &[],
                Documents {
                    root_ca: "secret".into(),
                    ..none()
                },
                "spec.clientTLS.rootCA holds no certificate in PEM form",
            ),
            (
                "https://host",
                &[],
                Documents {
                    certificate: "x".into(),
                    ..none()
                },
                "spec.clientTLS needs both certificate and privateKey, or neither",
            ),
        ] {
            assert_eq!(open(url, headers, documents), Err(expected.into()), "{url}");
        }
    }
}
