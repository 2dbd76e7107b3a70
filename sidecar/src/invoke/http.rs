//! Service invocation over HTTP: whatever no other route took.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use serde_json::{Map, Value};

use super::local::{Answer, Head, Inbound, to_verb};
use super::{Invoker, method, target};
use crate::api::error::json_response;
use crate::api::errors;
use crate::api::json;
use crate::api::trace::Traced;
use crate::peer::headers;

/// A body of at most this size is kept for another try. Larger ones are sent once,
/// as those whose size is not known: no body may cost much memory.
const KEPT: u64 = 4 << 20;

pub(crate) async fn fallback(invoker: Invoker, mut req: Request) -> Response {
    let Some(target) = target::of(&mut req) else {
        return errors::no_invoke_target().into_response();
    };
    let fail = |cause: &str, denied| errors::invoke(&target.id, cause, denied).into_response();
    let cleaned = match method::normalize(&target.method) {
        Ok(cleaned) => cleaned,
        Err(e) => return fail(&method::refused(&e), false),
    };
    let (parts, body) = req.into_parts();
    let traced = parts.extensions.get::<Traced>();
    if let Some(traced) = traced {
        traced.invokes(&target.id, &cleaned);
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let head = Head {
        method: cleaned,
        verb: to_verb(&parts.method),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        content_type: content_type
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .unwrap_or_default(),
        type_url: String::new(),
        metadata: headers::from_http(&parts.headers),
        trace: traced.map(|t| t.context().clone()),
    };
    let events = wants_events(&parts.headers).then_some(parts.version);
    let kept = body.size_hint().exact().is_some_and(|size| size <= KEPT);
    match invoker.call(&target.id, Inbound { head, body }, kept).await {
        Ok(answer) => respond(answer, events),
        Err(failure) => fail(&failure.cause, failure.denied()),
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|v| {
        v.as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    })
}

/// The app's own answer, or that of a gRPC app in HTTP's terms. `events` is set
/// when the client waits for a stream of them.
fn respond(answer: Answer, events: Option<Version>) -> Response {
    if answer.code < 100 && answer.code != 0 {
        return from_grpc(answer);
    }
    let status = match answer.code {
        0 => StatusCode::OK,
        code => u16::try_from(code)
            .ok()
            .and_then(|c| StatusCode::from_u16(c).ok())
            .unwrap_or(StatusCode::BAD_GATEWAY),
    };
    let content_type = if answer.content_type.is_empty() && answer.code == 0 {
        "application/json".to_owned()
    } else {
        answer.content_type
    };
    let mut response = Response::new(answer.body);
    *response.status_mut() = status;
    *response.headers_mut() = headers::to_http(answer.headers);
    if let Ok(value) = HeaderValue::try_from(content_type)
        && !value.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    if let Some(version) = events.filter(|_| status.is_success()) {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // HTTP/2 has no such header.
        if version <= Version::HTTP_11 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        }
    }
    response
}

fn from_grpc(answer: Answer) -> Response {
    #[derive(serde::Serialize)]
    struct Status<'a> {
        code: i32,
        #[serde(skip_serializing_if = "str::is_empty")]
        message: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        details: Vec<Value>,
    }
    let status = http_status(answer.code);
    match json::to_vec(&Status {
        code: answer.code,
        message: &answer.message,
        details: answer.details.iter().map(detail).collect(),
    }) {
        Ok(body) => {
            let mut response = json_response(status, body);
            for (name, value) in &headers::to_http(answer.headers) {
                response.headers_mut().append(name, value.clone());
            }
            response
        }
        Err(e) => errors::malformed_response(&e.to_string()).into_response(),
    }
}

/// A detail of a gRPC status as JSON. Of types that are not known here, the bytes
/// are shown.
fn detail(any: &prost_types::Any) -> Value {
    let mut out = Map::new();
    out.insert("@type".into(), any.type_url.as_str().into());
    let is_info = any.type_url.ends_with("/google.rpc.ErrorInfo");
    match <proto::google::rpc::ErrorInfo as prost::Message>::decode(any.value.as_slice()) {
        Ok(info) if is_info => {
            out.insert("reason".into(), info.reason.into());
            out.insert("domain".into(), info.domain.into());
            let metadata: Map<String, Value> = info
                .metadata
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect();
            out.insert("metadata".into(), metadata.into());
            out.retain(|_, value| *value != "" && value.as_object().is_none_or(|m| !m.is_empty()));
        }
        _ => {
            out.insert("value".into(), STANDARD.encode(&any.value).into());
        }
    }
    out.into()
}

/// The HTTP status for a gRPC code.
fn http_status(code: i32) -> StatusCode {
    let status = match code {
        0 => 200,
        1 => 408,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
