//! A call into this sidecar's own app, from wherever it came.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, Request, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use proto::dapr::common::v1 as common;
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::internals::v1 as wire;
use telemetry::TraceContext;
use tonic::Status;

use super::{method, on_invoke};
use crate::app::{self, App};
use crate::peer::headers::{self, Metadata};

/// Characters that a path cannot hold as they are.
pub(crate) const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'#')
    .add(b'?')
    .add(b'{')
    .add(b'}')
    .add(b'%');

/// A call as the internal API carries it.
pub(crate) struct Inbound {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// All of a call but its body.
#[derive(Clone)]
pub(crate) struct Head {
    /// Normalised, without a leading slash.
    pub(crate) method: String,
    pub(crate) verb: Verb,
    pub(crate) query: String,
    pub(crate) content_type: String,
    /// Of the data, when it is a message.
    pub(crate) type_url: String,
    pub(crate) metadata: Metadata,
    /// The span of this sidecar that the call belongs to.
    pub(crate) trace: Option<TraceContext>,
}

/// What the app answered.
pub(crate) struct Answer {
    /// An HTTP status from 100 on, a gRPC code below.
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) details: Vec<prost_types::Any>,
    pub(crate) content_type: String,
    pub(crate) type_url: String,
    pub(crate) headers: Metadata,
    pub(crate) trailers: Metadata,
    pub(crate) body: Body,
}

impl Inbound {
    pub(crate) fn from_wire(head: wire::InternalInvokeRequest, body: Body) -> Result<Self, Status> {
        if head.ver != i32::from(wire::ApiVersion::V1) {
            let cause = format!("unsupported spec version: {}", head.ver);
            return Err(Status::internal(format!(
                "error invoking app channel: {cause}"
            )));
        }
        let message = head.message.unwrap_or_default();
        let extension = message.http_extension.unwrap_or_default();
        let method = method::normalize(&message.method)
            .map_err(|e| Status::invalid_argument(format!("invalid method: {e}")))?;
        let head = Head {
            method,
            verb: extension.verb(),
            query: extension.querystring,
            content_type: message.content_type,
            type_url: message.data.map(|d| d.type_url).unwrap_or_default(),
            metadata: head.metadata,
            trace: None,
        };
        Ok(Self { head, body })
    }

    /// The request to an HTTP server; its address is path and query only.
    pub(crate) fn into_http(self) -> Result<Request<Body>, String> {
        let verb = to_method(self.head.verb)
            .ok_or("rpc error: code = InvalidArgument desc = invalid HTTP verb")?;
        let mut path = format!("/{}", utf8_percent_encode(&self.head.method, PATH));
        if !self.head.query.is_empty() {
            path.push('?');
            path.push_str(&self.head.query);
        }
        let uri: Uri = path
            .parse()
            .map_err(|_| format!("'{path}' is not a valid address"))?;
        let length = headers::first(&self.head.metadata, "content-length")
            .and_then(|l| HeaderValue::try_from(l).ok());
        let content_type = if self.head.type_url.is_empty() {
            self.head.content_type
        } else {
            "application/x-protobuf".into()
        };
        let mut req = Request::new(self.body);
        *req.method_mut() = verb;
        *req.uri_mut() = uri;
        *req.headers_mut() = headers::to_http(self.head.metadata);
        if let Some(context) = &self.head.trace {
            continue_http(context, req.headers_mut());
        }
        if let Some(length) = length {
            req.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        if let Ok(value) = HeaderValue::try_from(content_type)
            && !value.is_empty()
        {
            req.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        Ok(req)
    }
}

impl Head {
    pub(crate) fn with(&self, body: Body) -> Inbound {
        Inbound {
            head: self.clone(),
            body,
        }
    }

    /// The head of the call, for the way to another sidecar.
    pub(crate) fn into_wire(self) -> wire::InternalInvokeRequest {
        let data = (!self.type_url.is_empty()).then(|| prost_types::Any {
            type_url: self.type_url,
            ..Default::default()
        });
        let extension = common::HttpExtension {
            verb: self.verb.into(),
            querystring: self.query,
        };
        wire::InternalInvokeRequest {
            ver: wire::ApiVersion::V1.into(),
            metadata: self.metadata,
            message: Some(common::InvokeRequest {
                method: self.method,
                data,
                content_type: self.content_type,
                http_extension: Some(extension),
            }),
            actor: None,
        }
    }
}

impl Answer {
    pub(crate) fn from_http(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        Self {
            code: i32::from(parts.status.as_u16()),
            message: String::new(),
            details: Vec::new(),
            content_type: content_type
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
                .unwrap_or_default(),
            type_url: String::new(),
            headers: headers::from_answer(&parts.headers),
            trailers: Metadata::new(),
            body,
        }
    }

    pub(crate) fn into_wire(self) -> (wire::InternalInvokeResponse, Body) {
        let data = (!self.type_url.is_empty()).then(|| prost_types::Any {
            type_url: self.type_url,
            ..Default::default()
        });
        let head = wire::InternalInvokeResponse {
            status: Some(wire::Status {
                code: self.code,
                message: self.message,
                details: self.details,
            }),
            headers: self.headers,
            trailers: self.trailers,
            message: Some(common::InvokeResponse {
                data,
                content_type: self.content_type,
            }),
        };
        (head, self.body)
    }

    pub(crate) fn from_wire(
        head: wire::InternalInvokeResponse,
        body: Body,
    ) -> Result<Self, String> {
        let status = head.status.ok_or("the answer of the peer has no status")?;
        // A stream of server-sent events says 0 and has no message; its content
        // type is among the headers.
        let code = match (&head.message, status.code) {
            (None, 0) => 200,
            (_, code) => code,
        };
        let mut message = head.message.unwrap_or_default();
        if message.content_type.is_empty() && code >= 100 {
            let found = headers::first(&head.headers, "content-type");
            message.content_type = found.unwrap_or_default().to_owned();
        }
        Ok(Self {
            code,
            message: status.message,
            details: status.details,
            content_type: message.content_type,
            type_url: message.data.map(|d| d.type_url).unwrap_or_default(),
            headers: head.headers,
            trailers: head.trailers,
            body,
        })
    }
}

pub(crate) async fn call(app: &App, inbound: Inbound) -> Result<Answer, app::Error> {
    match app.protocol() {
        None => Err(app::Error::NoApp),
        Some(protocol) if protocol.is_grpc() => on_invoke::call(app, inbound).await,
        Some(_) => call_http(app, inbound).await,
    }
}

async fn call_http(app: &App, inbound: Inbound) -> Result<Answer, app::Error> {
    let req = inbound.into_http().map_err(app::Error::Unreachable)?;
    Ok(Answer::from_http(app.send(req).await?))
}

/// The state of a trace that came with the call stays unless the span has one.
pub(crate) fn continue_http(context: &TraceContext, head: &mut http::HeaderMap) {
    head.insert(
        telemetry::headers::TRACEPARENT,
        telemetry::headers::traceparent(context),
    );
    if let Some(state) = telemetry::headers::tracestate(context) {
        head.insert(telemetry::headers::TRACESTATE, state);
    }
}

fn to_method(verb: Verb) -> Option<Method> {
    Some(match verb {
        Verb::None | Verb::Connect => return None,
        Verb::Get => Method::GET,
        Verb::Head => Method::HEAD,
        Verb::Post => Method::POST,
        Verb::Put => Method::PUT,
        Verb::Delete => Method::DELETE,
        Verb::Options => Method::OPTIONS,
        Verb::Trace => Method::TRACE,
        Verb::Patch => Method::PATCH,
    })
}

/// An unknown verb is sent as POST.
pub(crate) fn to_verb(method: &Method) -> Verb {
    match method.as_str() {
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        "PUT" => Verb::Put,
        "DELETE" => Verb::Delete,
        "CONNECT" => Verb::Connect,
        "OPTIONS" => Verb::Options,
        "TRACE" => Verb::Trace,
        "PATCH" => Verb::Patch,
        _ => Verb::Post,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_an_http_status_or_a_grpc_code() {
        let message = |content_type: &str| common::InvokeResponse {
            content_type: content_type.into(),
            ..Default::default()
        };
        let event = [(
            "Content-Type".to_owned(),
            headers::list("text/event-stream"),
        )];
        for (code, message, headers, expected) in [
            (404, Some(message("a/b")), Metadata::new(), (404, "a/b")),
            (0, Some(message("")), Metadata::new(), (0, "")),
            (5, Some(message("")), Metadata::new(), (5, "")),
            (0, None, event.into(), (200, "text/event-stream")),
        ] {
            let head = wire::InternalInvokeResponse {
                status: Some(wire::Status {
                    code,
                    ..Default::default()
                }),
                headers,
                message,
                ..Default::default()
            };
            let answer = Answer::from_wire(head, Body::empty())
                .unwrap_or_else(|e| panic!("{e}: {expected:?}"));
            assert_eq!((answer.code, answer.content_type.as_str()), expected);
        }
        let head = wire::InternalInvokeResponse::default();
        assert!(Answer::from_wire(head, Body::empty()).is_err());
    }
}
