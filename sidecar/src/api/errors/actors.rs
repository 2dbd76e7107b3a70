//! Errors of the actor API.

use actors::Error;
use http::StatusCode;
use tonic::Code;

use super::{BAD_REQUEST, INTERNAL, NOT_FOUND};
use crate::api::error::ApiError;

fn internal(code: &'static str, message: String) -> ApiError {
    ApiError::legacy(code, INTERNAL, Code::Internal, message)
}

/// What every call may answer, whatever it was for; anything else stays with the
/// caller.
fn own(error: &Error) -> Option<ApiError> {
    let (code, http) = match error {
        Error::Closed => ("ERR_ACTOR_RUNTIME_CLOSED", StatusCode::SERVICE_UNAVAILABLE),
        Error::NoPlacement => ("ERR_ACTOR_NO_PLACEMENT", BAD_REQUEST),
        Error::Reserved(_) => ("ERR_ACTOR_TYPE_RESERVED", StatusCode::FORBIDDEN),
        Error::InstanceMissing => ("ERR_ACTOR_INSTANCE_MISSING", BAD_REQUEST),
        Error::StackDepth => ("ERR_ACTOR_STACK_DEPTH", INTERNAL),
        _ => return None,
    };
    let grpc = error.code().unwrap_or(Code::Internal);
    Some(ApiError::legacy(code, http, grpc, error.to_string()))
}

/// A call of a method failed, as HTTP shows it.
pub(crate) fn invoke(error: &Error) -> ApiError {
    let wrapped = || {
        let message = format!("error invoke actor method: {}", error.nested());
        internal("ERR_ACTOR_INVOKE_METHOD", message)
    };
    own(error).unwrap_or_else(wrapped)
}

/// The same as gRPC shows it: an error that has a code keeps it.
pub(crate) fn invoke_status(error: &Error) -> tonic::Status {
    match (error, error.code()) {
        (Error::Remote(status), _) => tonic::Status::new(status.code(), status.message()),
        (Error::NoAddress(_) | Error::Retries { .. }, Some(code)) => {
            tonic::Status::new(code, error.nested())
        }
        (_, Some(code)) => tonic::Status::new(code, error.to_string()),
        (_, None) => invoke(error).status(),
    }
}

/// `cause` names what is wrong with a name, a method or a body.
pub(crate) fn bad_request(cause: &str) -> ApiError {
    let message = format!("invalid request: {cause}");
    ApiError::legacy(
        "ERR_BAD_REQUEST",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
}

pub(crate) fn no_state_store() -> ApiError {
    let message = "the state store is not configured to use the actor runtime. Have you set the - name: \
                   actorStateStore value: \"true\" in your state store component file?";
    internal("ERR_ACTOR_RUNTIME_NOT_FOUND", message.to_owned())
}

pub(crate) fn state_get(error: &Error) -> ApiError {
    own(error).unwrap_or_else(|| state_get_failed(&error.nested()))
}

pub(crate) fn state_get_failed(cause: &str) -> ApiError {
    internal(
        "ERR_ACTOR_STATE_GET",
        format!("error getting actor state: {cause}"),
    )
}

pub(crate) fn state_save(error: &Error) -> ApiError {
    own(error).unwrap_or_else(|| state_save_failed(&error.nested()))
}

pub(crate) fn state_save_failed(cause: &str) -> ApiError {
    internal(
        "ERR_ACTOR_STATE_TRANSACTION_SAVE",
        format!("error saving actor transaction state: {cause}"),
    )
}

pub(crate) fn timer_create(error: &Error) -> ApiError {
    let wrapped = || {
        let message = format!("error creating actor timer: {}", error.nested());
        internal("ERR_ACTOR_TIMER_CREATE", message)
    };
    own(error).unwrap_or_else(wrapped)
}

/// What is done to a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Create,
    Get,
    Delete,
}

pub(crate) fn reminder(doing: Doing, cause: &str) -> ApiError {
    let (code, verb) = match doing {
        Doing::Create => ("ERR_ACTOR_REMINDER_CREATE", "creating"),
        Doing::Get => ("ERR_ACTOR_REMINDER_GET", "getting"),
        Doing::Delete => ("ERR_ACTOR_REMINDER_DELETE", "deleting"),
    };
    internal(code, format!("error {verb} actor reminder: {cause}"))
}

pub(crate) fn reminder_not_found(name: &str) -> ApiError {
    let message = format!("actor reminder not found: {name}");
    ApiError::legacy(
        "ERR_ACTOR_REMINDER_NOT_FOUND",
        NOT_FOUND,
        Code::NotFound,
        message,
    )
}

pub(crate) fn reminder_exists(name: &str) -> ApiError {
    let message = format!("actor reminder already exists: {name}");
    let (http, grpc) = (StatusCode::CONFLICT, Code::AlreadyExists);
    ApiError::legacy("ERR_ACTOR_REMINDER_ALREADY_EXISTS", http, grpc, message)
}

pub(crate) fn reminder_not_hosted() -> ApiError {
    let message = "operations on actor reminders are only possible on hosted actor types";
    let (http, grpc) = (StatusCode::FORBIDDEN, Code::PermissionDenied);
    ApiError::legacy("ERR_ACTOR_REMINDER_NON_HOSTED", http, grpc, message)
}

/// One that no call has a class for: closed runtimes and reserved types.
pub(crate) fn general(error: &Error) -> ApiError {
    own(error).unwrap_or_else(|| super::unclassified(error.to_string()))
}
