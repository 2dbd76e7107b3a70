//! API logging: one line per call, after it has ended.

use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http::header::USER_AGENT;
use service::log::{Value, api_log};

use super::count::counted;

/// Which lines are written and what they show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiLog {
    pub(crate) kind: Kind,
    /// Leaves out the health routes.
    pub(crate) omit_health: bool,
    /// Shows the route instead of the path.
    pub(crate) obfuscate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Grpc,
}

/// What is kept of a request until its answer is there.
pub(crate) struct Seen {
    method: String,
    agent: Option<String>,
}

impl ApiLog {
    /// `None` for a call that is not logged.
    pub(crate) fn request(&self, req: &Request) -> Option<Seen> {
        let path = req.uri().path();
        if self.omit_health && self.kind == Kind::Http && path.starts_with("/v1.0/healthz") {
            return None;
        }
        let method = match self.kind {
            Kind::Grpc => path.to_owned(),
            Kind::Http if self.obfuscate => format!("{} {}", req.method(), route(path)),
            Kind::Http => format!("{} {path}", req.method()),
        };
        let agent = req
            .headers()
            .get(USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        Some(Seen { method, agent })
    }

    /// The line is written when the body has been sent.
    pub(crate) fn response(
        &self,
        seen: Option<Seen>,
        response: Response,
        start: Instant,
    ) -> Response {
        let Some(seen) = seen else { return response };
        let kind = self.kind;
        let status = i64::from(response.status().as_u16());
        let early = grpc_code(response.headers());
        let ended = response.body().is_end_stream();
        let done = move |size: u64, trailers: Option<&http::HeaderMap>| {
            let code = match kind {
                Kind::Http => status,
                Kind::Grpc => trailers.and_then(grpc_code).or(early).unwrap_or(0),
            };
            seen.write(kind, code, size, start);
        };
        if ended {
            done(0, None);
            return response;
        }
        response.map(|body| Body::new(counted(body, done)))
    }
}

impl Seen {
    fn write(&self, kind: Kind, code: i64, size: u64, start: Instant) {
        let duration = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut fields = vec![
            ("method", Value::Text(&self.method)),
            ("code", Value::Number(code)),
        ];
        fields.push(("duration", Value::Number(duration)));
        if let Some(agent) = &self.agent {
            fields.push(("useragent", Value::Text(agent)));
        }
        match kind {
            Kind::Http => {
                fields.push((
                    "size",
                    Value::Number(i64::try_from(size).unwrap_or(i64::MAX)),
                ));
                api_log("dapr.runtime.http-info", "HTTP API Called", &fields);
            }
            Kind::Grpc => api_log("dapr.runtime.grpc.api-info", "gRPC API Called", &fields),
        }
    }
}

pub(crate) fn grpc_code(headers: &http::HeaderMap) -> Option<i64> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The part of a path that names no key, app or method.
fn route(path: &str) -> String {
    path.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}
