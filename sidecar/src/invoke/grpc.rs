//! Service invocation over gRPC: the deprecated `InvokeService`.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use proto::dapr::common::v1 as common;
use proto::dapr::runtime::v1 as rt;
use tonic::{Code, Request, Response, Status};

use super::local::{Answer, Head, Inbound};
use super::{Invoker, method};
use crate::api::error::{ApiError, Detail, Details};
use crate::api::errors;
use crate::api::trace::Traced;
use crate::peer::headers;

/// Of an error's body, as many bytes are shown.
const SHOWN: usize = 63;

pub(crate) async fn invoke_service(
    invoker: &Invoker,
    request: Request<rt::InvokeServiceRequest>,
) -> Result<Response<common::InvokeResponse>, Status> {
    deprecated();
    let metadata = headers::from_grpc_caller(request.metadata());
    let (_, extensions, message) = request.into_parts();
    let traced = extensions.get::<Traced>();
    let rt::InvokeServiceRequest { id, message } = message;
    let message = message.unwrap_or_default();
    let fail = |cause: &str| errors::invoke(&id, cause, false).status();
    let data = message.data.unwrap_or_default();
    let extension = message.http_extension.unwrap_or_default();
    let method = method::normalize(&message.method).map_err(|e| fail(&method::refused(&e)))?;
    if let Some(traced) = traced {
        traced.invokes(&id, &method);
    }
    let head = Head {
        method,
        verb: extension.verb(),
        query: extension.querystring,
        content_type: message.content_type,
        type_url: data.type_url,
        metadata,
        trace: traced.map(|t| t.context().clone()),
    };
    let body = Body::from(data.value);
    let inbound = Inbound { head, body };
    let answer = invoker
        .call(&id, inbound, true)
        .await
        .map_err(|failure| fail(&failure.cause))?;
    respond(answer).await
}

async fn respond(mut answer: Answer) -> Result<Response<common::InvokeResponse>, Status> {
    let body = std::mem::take(&mut answer.body);
    let value = body
        .collect()
        .await
        .map_err(|e| Status::internal(e.to_string()))?
        .to_bytes();
    // tonic has no trailers of a call that went well.
    let mut head = std::mem::take(&mut answer.headers);
    head.append(&mut answer.trailers);
    let mut metadata = headers::to_grpc(head);
    if answer.code >= 100 {
        if let Ok(code) = answer.code.to_string().parse() {
            metadata.insert("dapr-http-status", code);
        }
        if !(200..300).contains(&answer.code) {
            let mut status = from_http(answer.code, &value);
            *status.metadata_mut() = metadata;
            return Err(status);
        }
    } else if answer.code != 0 {
        let code = Code::from(answer.code);
        if answer.details.is_empty() {
            return Err(Status::with_metadata(code, answer.message, metadata));
        }
        let details = proto::google::rpc::Status {
            code: answer.code,
            message: answer.message.clone(),
            details: answer.details,
        };
        let encoded = prost::Message::encode_to_vec(&details);
        return Err(Status::with_details_and_metadata(
            code,
            answer.message,
            encoded.into(),
            metadata,
        ));
    }
    let data = prost_types::Any {
        type_url: answer.type_url,
        value: value.into(),
    };
    let mut response = Response::new(common::InvokeResponse {
        data: Some(data),
        content_type: answer.content_type,
    });
    *response.metadata_mut() = metadata;
    Ok(response)
}

/// An HTTP app's failure as a gRPC status.
fn from_http(code: i32, body: &Bytes) -> Status {
    let grpc = u16::try_from(code).map_or(Code::Unknown, code_of_http);
    let text = u16::try_from(code)
        .ok()
        .and_then(|c| StatusCode::from_u16(c).ok()?.canonical_reason())
        .unwrap_or("");
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    let metadata = [
        ("http.code".to_owned(), code.to_string()),
        ("http.error_message".to_owned(), shown),
    ]
    .into();
    let details = vec![Detail::ErrorInfo {
        reason: text.into(),
        metadata: Some(metadata),
    }];
    ApiError {
        details: Details::Rich(details),
        ..ApiError::legacy("", StatusCode::OK, grpc, text)
    }
    .status()
}

/// The code that stands for an HTTP status.
pub(crate) fn code_of_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        408 => Code::Cancelled,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Unknown,
    }
}

/// Said once per process.
fn deprecated() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: "dapr.runtime.grpc.api",
            "[DEPRECATION NOTICE] InvokeService is deprecated and will be removed in the future, please use proxy mode instead."
        );
    }
}
