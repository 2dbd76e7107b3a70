//! Errors of the secrets block.

use http::StatusCode;
use tonic::Code;

use super::INTERNAL;
use crate::api::error::ApiError;

pub(crate) fn not_configured() -> ApiError {
    let message = "secret store is not configured";
    ApiError::legacy(
        "ERR_SECRET_STORES_NOT_CONFIGURED",
        INTERNAL,
        Code::FailedPrecondition,
        message,
    )
}

/// 401 over HTTP, as upstream has it.
pub(crate) fn not_found(store: &str) -> ApiError {
    let message = format!("failed finding secret store with key {store}");
    ApiError::legacy(
        "ERR_SECRET_STORE_NOT_FOUND",
        StatusCode::UNAUTHORIZED,
        Code::InvalidArgument,
        message,
    )
}

pub(crate) fn denied(key: &str, store: &str) -> ApiError {
    let message = format!("access denied by policy to get \"{key}\" from \"{store}\"");
    ApiError::legacy(
        "ERR_PERMISSION_DENIED",
        StatusCode::FORBIDDEN,
        Code::PermissionDenied,
        message,
    )
}

pub(crate) fn get(key: &str, store: &str, cause: &str) -> ApiError {
    let message =
        format!("failed getting secret with key {key} from secret store {store}: {cause}");
    ApiError::legacy("ERR_SECRET_GET", INTERNAL, Code::Internal, message)
}

pub(crate) fn bulk_get(store: &str, cause: &str) -> ApiError {
    let message = format!("failed getting secrets from secret store {store}: {cause}");
    ApiError::legacy("ERR_SECRET_GET", INTERNAL, Code::Internal, message)
}
