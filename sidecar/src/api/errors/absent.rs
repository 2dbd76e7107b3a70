//! What blocks answer while nothing of their kind is configured.

use tonic::Code;

use super::{BAD_REQUEST, INTERNAL, malformed_bare};
use crate::api::error::ApiError;

pub(crate) fn output_binding(name: &str) -> ApiError {
    let message =
        format!("error invoking output binding {name}: couldn't find output binding {name}");
    ApiError::basic(
        "ERR_INVOKE_OUTPUT_BINDING",
        INTERNAL,
        Code::Internal,
        message,
    )
}

pub(crate) fn configuration() -> ApiError {
    let message = "configuration stores not configured";
    ApiError::basic(
        "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
        INTERNAL,
        Code::FailedPrecondition,
        message,
    )
}

pub(crate) fn lock() -> ApiError {
    let message = "lock store is not configured";
    ApiError::legacy(
        "ERR_LOCK_STORE_NOT_CONFIGURED",
        INTERNAL,
        Code::FailedPrecondition,
        message,
    )
}

/// Checked before anything else of a lock call.
pub(crate) fn lock_expiry(store: &str) -> ApiError {
    malformed_bare(format!(
        "ExpiryInSeconds is not positive in lock store {store}"
    ))
}

pub(crate) fn crypto() -> ApiError {
    let message = "crypto providers not configured";
    ApiError::legacy(
        "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED",
        INTERNAL,
        Code::Internal,
        message,
    )
}

pub(crate) fn conversation(name: &str) -> ApiError {
    let message = format!("failed finding conversation component {name}");
    ApiError::legacy(
        "ERR_CONVERSATION_NOT_FOUND",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
}
