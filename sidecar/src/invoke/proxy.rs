//! gRPC methods that no service here has: they belong to some app, which the
//! call's metadata has to name. Their messages pass through undecoded.

pub(crate) mod whole;

use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use resiliency::{Policy, Verdict};
use telemetry::attributes::grpc_error;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::{Failure, Inner, Invoker, Shape, method};
use crate::api::auth::HEADER as TOKEN;
use crate::api::grpc::status;
use crate::api::log::grpc_code;
use crate::api::metrics::Measured;
use crate::api::trace;
use crate::app::{self, App};
use crate::peer::access::AccessList;
use crate::peer::{self, Line, Peer};

const TARGET: HeaderName = HeaderName::from_static("dapr-app-id");
const CALLEE: HeaderName = HeaderName::from_static("dapr-callee-app-id");
const STREAM: HeaderName = HeaderName::from_static("dapr-stream");
const CALLER: HeaderName = HeaderName::from_static("dapr-caller-app-id");

/// `access` is set for calls that come from other sidecars.
pub(crate) async fn call(invoker: &Invoker, access: Option<&AccessList>, req: Request) -> Response {
    match forward(invoker, access, req).await {
        Ok(response) => response,
        Err(refused) => status(&refused),
    }
}

async fn forward(
    invoker: &Invoker,
    access: Option<&AccessList>,
    mut req: Request,
) -> Result<Response, Status> {
    let me = &*invoker.inner;
    let target = target(req.headers(), me.tracer.is_some())?;
    let failed = |failure: Failure| Status::unknown(failure.cause);
    let (id, namespace) = me.split(&target).map_err(failed)?;
    let span = me.tracer.as_ref();
    let mut span = span.map(|tracer| trace::proxied(tracer, &req, id == me.app_id));
    // The app's own keys stay in front, and readers take the first.
    if let Some(context) = span.as_ref().and_then(|span| span.context()) {
        let head = req.headers_mut();
        head.append(
            telemetry::headers::TRACEPARENT,
            telemetry::headers::traceparent(context),
        );
        head.append(
            telemetry::headers::GRPC_TRACE_BIN,
            telemetry::headers::grpc_trace_bin(context),
        );
    }
    let result = routed(me, access, id, namespace, req).await;
    if let Some(span) = &mut span {
        span.status(match &result {
            Ok(response) => trace::failure(response.headers()),
            Err(refused) => grpc_error(refused.code().into(), refused.message()),
        });
    }
    result
}

async fn routed(
    me: &Inner,
    access: Option<&AccessList>,
    id: &str,
    namespace: &str,
    mut req: Request,
) -> Result<Response, Status> {
    // Upstream compares the app id alone here, so that a callee whose caller
    // named a namespace finds itself.
    if id == me.app_id {
        local(&me.app, access, &mut req)?;
        let channel = me
            .app
            .channel()
            .await
            .map_err(|e| Status::internal(e.to_string()))?;
        return send(channel, req).await;
    }
    let policy = policy(me, id, &req);
    let headers = req.headers_mut();
    headers.remove(TARGET);
    for (name, value) in [(CALLER, me.app_id.as_str()), (CALLEE, id)] {
        let value = HeaderValue::try_from(value)
            .map_err(|_| Status::internal(format!("app id '{value}' is no valid metadata")))?;
        headers.append(name, value);
    }
    let (shape, start) = (shape(req.headers()), Instant::now());
    if let Some(metrics) = &me.metrics {
        metrics.sent(id, shape);
    }
    let to = (id, namespace);
    let result = match shape {
        _ if policy.is_none() => stream(me, to, &policy, req).await,
        Shape::Streaming => stream(me, to, &policy, req).await,
        Shape::Unary => whole::call(me, to, &policy, req).await,
    };
    if let Some(metrics) = &me.metrics {
        let code = match &result {
            Ok(response) => grpc_code(response.headers()).unwrap_or(0),
            Err(refused) => i64::from(i32::from(refused.code())),
        };
        metrics.answer(id, i32::try_from(code).unwrap_or(2), shape, start);
    }
    result
}

/// Of the app that the caller names; the callee's sidecar, which is told in another
/// way, applies none.
fn policy(me: &Inner, id: &str, req: &Request) -> Policy {
    let Some(target) = req.headers().get(TARGET).and_then(|v| v.to_str().ok()) else {
        return Policy::default();
    };
    if me.policies.loaded().is_empty() {
        return Policy::default();
    }
    let endpoint = format!("{id}:{}", req.uri().path());
    me.policies.app(target, &endpoint)
}

/// A call whose messages pass as they come. A policy covers the opening only.
async fn stream(
    me: &Inner,
    to: (&str, &str),
    policy: &Policy,
    req: Request,
) -> Result<Response, Status> {
    let code = |result: &Result<Measured<Line>, Status>| match result {
        Ok(_) => Verdict::Success,
        Err(status) => Verdict::Failure {
            code: Some(status.code().into()),
        },
    };
    let opened = policy.run(code, || open(me, to)).await;
    send(opened.map_err(given_up)?, req).await
}

/// A connection to one of the app's sidecars. One that cannot be made is tried once
/// more at once, perhaps at another address.
async fn open(me: &Inner, (id, namespace): (&str, &str)) -> Result<Measured<Line>, Status> {
    let mut tried = false;
    loop {
        let address = me.resolver.resolve(id, namespace).await;
        let address = address.map_err(Status::unknown)?;
        let peer = Peer {
            address: &address.0,
            app_id: id,
            namespace,
        };
        match me.pool.line(peer).await {
            Err(refused) => {
                me.lost(&refused, peer);
                if tried {
                    return Err(refused);
                }
                tried = true;
            }
            line => return line,
        }
    }
}

fn given_up(error: resiliency::Error<Status>) -> Status {
    match error {
        resiliency::Error::Attempt(status) => status,
        resiliency::Error::Timeout => Status::deadline_exceeded(error.to_string()),
        resiliency::Error::Open | resiliency::Error::TooManyRequests => {
            Status::unavailable(error.to_string())
        }
    }
}

/// Whether the caller says that the call is a stream.
fn shape(headers: &HeaderMap) -> Shape {
    const YES: [&str; 6] = ["y", "yes", "true", "t", "on", "1"];
    let told = headers.get(STREAM).and_then(|v| v.to_str().ok());
    match told.map(str::to_ascii_lowercase) {
        Some(word) if YES.contains(&word.as_str()) => Shape::Streaming,
        _ => Shape::Unary,
    }
}

/// Whom the call is for.
fn target(headers: &HeaderMap, traced: bool) -> Result<String, Status> {
    let named = headers.get(CALLEE).or_else(|| headers.get(TARGET));
    // Upstream's tracing notices first, in words of its own.
    let named = named.ok_or_else(|| {
        Status::unknown(if traced {
            "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata"
        } else {
            "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found"
        })
    })?;
    Ok(String::from_utf8_lossy(named.as_bytes()).into_owned())
}

/// The last stretch, to this sidecar's own app: the token of the API is no
/// business of the app, which gets its own.
fn local(app: &App, access: Option<&AccessList>, req: &mut Request) -> Result<(), Status> {
    let method = method::normalize(req.uri().path())
        .map_err(|e| Status::invalid_argument(format!("invalid method: {e}")))?;
    if let Some(access) = access {
        access
            .check(peer::caller(req.extensions()), &format!("/{method}"), None)
            .map_err(Status::permission_denied)?;
    }
    let headers = req.headers_mut();
    headers.remove(TOKEN);
    if let Some(token) = app.token() {
        headers.insert(TOKEN, token.clone());
    }
    Ok(())
}

async fn send<S, B>(mut service: S, req: Request) -> Result<Response, Status>
where
    S: Service<http::Request<tonic::body::Body>, Response = http::Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let req = req.map(tonic::body::Body::new);
    let ready = service.ready().await;
    let ready = ready.map_err(|e| unreachable(e.into()))?;
    let response = ready.call(req).await;
    let response = response.map_err(|e| unreachable(e.into()))?;
    Ok(response.map(|body| told(Body::new(body))))
}

/// A server that does not speak gRPC cannot be told from one that is away.
fn unreachable(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    let reason = app::reason(&*error);
    let status = Status::from_error(error);
    match status.code() {
        Code::Unknown => Status::unavailable(format!("connection error: {reason}")),
        _ => status,
    }
}

/// When an answer breaks off, its client is told so in gRPC's own terms.
fn told(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let frames = BodyStream::new(body).map(|frame| {
        Ok::<_, std::convert::Infallible>(frame.unwrap_or_else(|e| {
            let text = format!("failed proxying server-to-client: {e}");
            let mut trailers = HeaderMap::new();
            // Adding a status fails only for texts that no header can hold.
            let _ = Status::internal(text).add_header(&mut trailers);
            Frame::trailers(trailers)
        }))
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_callee_wins_over_the_target_and_one_of_them_is_needed() {
        for (headers, expected) in [
            (&[("dapr-app-id", "a")][..], Ok("a")),
            (
                &[("dapr-app-id", "a"), ("dapr-callee-app-id", "b")],
                Ok("b"),
            ),
            (
                &[("dapr-callee-app-id", "b"), ("dapr-callee-app-id", "c")],
                Ok("b"),
            ),
            (&[("other", "a")], Err(Code::Unknown)),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            let got = target(&map, false);
            assert_eq!(
                got.as_deref().map_err(Status::code),
                expected,
                "{headers:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_ends_with_a_status() {
        use http_body_util::BodyExt;

        let parts = futures_util::stream::iter([Ok("x"), Err(std::io::Error::other("cut"))]);
        let collected = told(Body::from_stream(parts)).collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "13");
        assert!(
            trailers["grpc-message"]
                .to_str()
                .unwrap()
                .starts_with("failed%20proxying%20server-to-client")
        );
        assert_eq!(collected.to_bytes(), "x");
    }
}
