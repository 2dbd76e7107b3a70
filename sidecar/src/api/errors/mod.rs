//! The catalogue of API errors: one constructor per line of the interface, so
//! that codes, statuses and texts stand in one place.

pub(crate) mod absent;
pub(crate) mod actors;
pub(crate) mod jobs;
pub(crate) mod pubsub;
pub(crate) mod secrets;
pub(crate) mod state;

use http::StatusCode;
use tonic::Code;

use super::error::ApiError;

pub(crate) const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;
pub(crate) const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
pub(crate) const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// Any error that has no class of its own.
pub(crate) fn unclassified(message: impl Into<String>) -> ApiError {
    ApiError::legacy("ERROR", INTERNAL, Code::Unknown, message)
}

pub(crate) fn body_read(cause: &str) -> ApiError {
    let message = format!("failed to read request body: {cause}");
    ApiError::legacy("ERR_BODY_READ", BAD_REQUEST, Code::InvalidArgument, message)
}

/// Bad JSON in a handler that decodes protojson.
pub(crate) fn malformed(cause: &str) -> ApiError {
    malformed_bare(format!("failed deserializing HTTP body: {cause}"))
}

/// Malformed input of the handlers that show the cause without a prefix.
pub(crate) fn malformed_bare(message: impl Into<String>) -> ApiError {
    ApiError::legacy(
        "ERR_MALFORMED_REQUEST",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
}

pub(crate) fn unimplemented() -> ApiError {
    let message = "this API is currently not implemented";
    ApiError::legacy(
        "ERR_API_UNIMPLEMENTED",
        StatusCode::NOT_IMPLEMENTED,
        Code::Unimplemented,
        message,
    )
}

pub(crate) fn not_ready(targets: &[String]) -> ApiError {
    let message = format!("dapr is not ready: [{}]", targets.join(" "));
    ApiError::legacy("ERR_HEALTH_NOT_READY", INTERNAL, Code::Unavailable, message)
}

pub(crate) fn app_id_not_match() -> ApiError {
    let message = "dapr app-id does not match";
    ApiError::legacy(
        "ERR_HEALTH_APPID_NOT_MATCH",
        INTERNAL,
        Code::Unavailable,
        message,
    )
}

pub(crate) fn outbound_not_ready() -> ApiError {
    let message = "dapr outbound is not ready";
    ApiError::legacy(
        "ERR_OUTBOUND_HEALTH_NOT_READY",
        INTERNAL,
        Code::Unavailable,
        message,
    )
}

/// No route took the request and it names no app.
pub(crate) fn no_invoke_target() -> ApiError {
    let message = "failed getting app id either from the URL path or the header dapr-app-id";
    ApiError::legacy("ERR_DIRECT_INVOKE", NOT_FOUND, Code::NotFound, message)
}

/// `denied` when the callee's access policy refused the call.
pub(crate) fn invoke(id: &str, cause: &str, denied: bool) -> ApiError {
    let http = if denied {
        StatusCode::FORBIDDEN
    } else {
        INTERNAL
    };
    let message = format!("failed to invoke, id: {id}, err: {cause}");
    ApiError::legacy("ERR_DIRECT_INVOKE", http, Code::Internal, message)
}

/// The answer of a gRPC app could not be shown as JSON.
pub(crate) fn malformed_response(cause: &str) -> ApiError {
    ApiError::legacy("ERR_MALFORMED_RESPONSE", INTERNAL, Code::Internal, cause)
}

#[cfg(test)]
mod tests;
