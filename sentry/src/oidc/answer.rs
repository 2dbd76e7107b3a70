//! Answers of the OpenID Connect server.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::document::{Discovery, jwks_uri};
use super::{Options, SCOPE};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks.json";

/// What the server knows.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) options: Options,
    /// The set as it is stored; `None` when it has no key.
    pub(crate) jwks: Option<Bytes>,
    pub(crate) algorithm: &'static str,
}

impl Answers {
    pub(crate) fn answer(&self, request: &Parts) -> Response<Full<Bytes>> {
        let host = self.host(request);
        if !self.admits(&host) {
            let shown: String = host.chars().take(255).collect();
            tracing::warn!(target: SCOPE, "Request from unauthorized domain: {shown}");
            return refuse(StatusCode::FORBIDDEN, "Forbidden: unauthorized domain");
        }
        let path = request.uri.path().strip_prefix(&*self.options.prefix);
        let Some(path @ (DISCOVERY | JWKS)) = path else {
            return refuse(StatusCode::NOT_FOUND, "404 page not found");
        };
        if request.method != Method::GET {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
        }
        match (&self.jwks, path) {
            (Some(jwks), JWKS) => json(jwks.clone()),
            (Some(_), _) => self.discovery(request),
            (None, JWKS) => {
                tracing::error!(target: SCOPE, "JWKS not available in bundle");
                refuse(StatusCode::NOT_FOUND, "JWKS not available")
            }
            (None, _) => refuse(StatusCode::NOT_FOUND, "OIDC configuration not available"),
        }
    }

    fn discovery(&self, request: &Parts) -> Response<Full<Bytes>> {
        let options = &self.options;
        let issuer = options.issuer.clone().unwrap_or_else(|| {
            let scheme = if options.tls.is_some() {
                "https"
            } else {
                "http"
            };
            // A proxy's word counts only where the hosts are known.
            let host = if self.has_list() {
                self.host(request)
            } else {
                host(request)
            };
            format!("{scheme}://{host}")
        });
        let path = format!("{}{JWKS}", options.prefix);
        let jwks = options
            .jwks_uri
            .clone()
            .unwrap_or_else(|| jwks_uri(&issuer, &path));
        let document = Discovery::new(&issuer, &jwks, self.algorithm);
        // Texts and lists of texts always become JSON.
        json(serde_json::to_vec(&document).unwrap_or_default().into())
    }

    fn has_list(&self) -> bool {
        let hosts = &self.options.allowed_hosts;
        !hosts.is_empty() && !hosts.iter().any(|h| h == "*")
    }

    /// The host that the request is for, by the word of a proxy if there is one.
    fn host(&self, request: &Parts) -> String {
        let forwarded = request.headers.get("x-forwarded-host");
        let forwarded = forwarded.and_then(|v| v.to_str().ok());
        let forwarded = forwarded.filter(|v| !v.is_empty());
        forwarded.map_or_else(|| host(request), str::to_owned)
    }

    fn admits(&self, host: &str) -> bool {
        let name = without_port(host);
        let hosts = &self.options.allowed_hosts;
        !self.has_list() || hosts.iter().any(|h| h == host || h == name)
    }
}

fn host(request: &Parts) -> String {
    // HTTP/2 has it in the address.
    let authority = request.uri.authority().map(|a| a.as_str().to_owned());
    let header = || request.headers.get(header::HOST)?.to_str().ok();
    authority
        .or_else(|| header().map(str::to_owned))
        .unwrap_or_default()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && !name.is_empty() => {
            if name.contains(':') && !name.starts_with('[') {
                return host;
            }
            name.trim_start_matches('[').trim_end_matches(']')
        }
        _ => host,
    }
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(format!("{text}\n").into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
