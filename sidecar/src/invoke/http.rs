//! Service invocation over HTTP: whatever no other route took.

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::local::{Answer, Inbound, to_verb};
use super::{Invoker, method, target};
use crate::api::error::json_response;
use crate::api::errors;
use crate::api::json;
use crate::peer::headers;

pub(crate) async fn fallback(State(invoker): State<Invoker>, mut req: Request) -> Response {
    let Some(target) = target::of(&mut req) else {
        return errors::no_invoke_target().into_response();
    };
    let fail = |cause: &str, denied| errors::invoke(&target.id, cause, denied).into_response();
    let cleaned = match method::normalize(&target.method) {
        Ok(cleaned) => cleaned,
        Err(e) => return fail(&e, false),
    };
    let (parts, body) = req.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let inbound = Inbound {
        method: cleaned,
        verb: to_verb(&parts.method),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        content_type: content_type
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .unwrap_or_default(),
        type_url: String::new(),
        metadata: headers::from_http(&parts.headers),
        body: Body::empty(),
    };
    let retriable = body.size_hint().exact().is_some();
    match invoker
        .call(&target.id, Inbound { body, ..inbound }, retriable)
        .await
    {
        Ok(answer) => respond(answer),
        Err(failure) => fail(&failure.cause, failure.denied),
    }
}

/// The app's own answer, or that of a gRPC app in HTTP's terms.
fn respond(answer: Answer) -> Response {
    if answer.code < 100 && answer.code != 0 {
        return from_grpc(&answer);
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
    response
}

fn from_grpc(answer: &Answer) -> Response {
    #[derive(serde::Serialize)]
    struct Status<'a> {
        code: i32,
        #[serde(skip_serializing_if = "str::is_empty")]
        message: &'a str,
    }
    let status = http_status(answer.code);
    match json::to_vec(&Status {
        code: answer.code,
        message: &answer.message,
    }) {
        Ok(body) => json_response(status, body),
        Err(e) => errors::malformed_response(&e.to_string()).into_response(),
    }
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
