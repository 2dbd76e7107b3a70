//! Errors of the state block.

use std::collections::BTreeMap;

use component::ErrorKind;
use http::StatusCode;
use tonic::Code;

use super::{BAD_REQUEST, INTERNAL};
use crate::api::error::{ApiError, Detail, Details};

/// HTTP routes show the app id in the ErrorInfo, gRPC and the query route do not.
pub(crate) type ShownAppId<'a> = Option<&'a str>;

fn info(reason: &'static str, metadata: Option<BTreeMap<String, String>>) -> Detail {
    Detail::ErrorInfo {
        reason: reason.into(),
        metadata,
    }
}

fn resource(store: &str) -> Detail {
    Detail::ResourceInfo {
        kind: "state",
        name: store.into(),
        owner: String::new(),
        description: String::new(),
    }
}

fn app(id: ShownAppId<'_>) -> Option<BTreeMap<String, String>> {
    id.map(|id| BTreeMap::from([("appID".to_owned(), id.to_owned())]))
}

pub(crate) fn not_configured(store: &str, app_id: ShownAppId<'_>) -> ApiError {
    let message = format!("state store {store} is not configured");
    let details = vec![info("DAPR_STATE_NOT_CONFIGURED", app(app_id))];
    ApiError::rich(
        "ERR_STATE_STORE_NOT_CONFIGURED",
        INTERNAL,
        Code::FailedPrecondition,
        message,
        details,
    )
}

pub(crate) fn not_found(store: &str, app_id: ShownAppId<'_>) -> ApiError {
    let message = format!("state store {store} is not found");
    let details = vec![info("DAPR_STATE_NOT_FOUND", app(app_id))];
    ApiError::rich(
        "ERR_STATE_STORE_NOT_FOUND",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn illegal_key(store: &str, key: &str) -> ApiError {
    let message = format!("input key/keyPrefix '{key}' can't contain '||'");
    let details = vec![
        Detail::BadRequest {
            field: key.into(),
            description: message.clone(),
        },
        resource(store),
        info("DAPR_STATE_ILLEGAL_KEY", None),
    ];
    ApiError::rich(
        "ERR_MALFORMED_REQUEST",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
        details,
    )
}

/// HTTP shows an illegal key with the whole inner error as its text, and a
/// transaction does not name it.
pub(crate) fn over_http(mut error: ApiError, names_key: bool) -> ApiError {
    if error.code != "ERR_MALFORMED_REQUEST" {
        return error;
    }
    error.message = error.to_string();
    if let Details::Rich(details) = &mut error.details {
        for detail in details {
            if let Detail::BadRequest { field, description } = detail {
                description.clone_from(&error.message);
                if !names_key {
                    field.clear();
                }
            }
        }
    }
    error
}

pub(crate) fn get(key: &str, store: &str, cause: &str) -> ApiError {
    let message = format!("fail to get {key} from state store {store}: {cause}");
    ApiError::basic("ERR_STATE_GET", INTERNAL, Code::Internal, message)
}

pub(crate) fn bulk_get(cause: &str) -> ApiError {
    ApiError::legacy("ERR_STATE_BULK_GET", INTERNAL, Code::Unknown, cause)
}

fn write_status(kind: ErrorKind) -> (StatusCode, Code) {
    match kind {
        ErrorKind::EtagMismatch => (StatusCode::CONFLICT, Code::Aborted),
        ErrorKind::EtagInvalid => (BAD_REQUEST, Code::InvalidArgument),
        _ => (INTERNAL, Code::Internal),
    }
}

pub(crate) fn save(store: &str, cause: &str, kind: ErrorKind) -> ApiError {
    let (http, grpc) = write_status(kind);
    let message = format!("failed saving state in state store {store}: {cause}");
    ApiError::basic("ERR_STATE_SAVE", http, grpc, message)
}

/// The HTTP transaction answers 400 when a value cannot be encrypted.
pub(crate) fn transaction_encryption(store: &str, cause: &str) -> ApiError {
    ApiError {
        http: BAD_REQUEST,
        ..save(store, cause, ErrorKind::Internal)
    }
}

/// gRPC only: HTTP refuses an empty key before it gets here.
pub(crate) fn empty_key(store: &str) -> ApiError {
    ApiError {
        grpc: Code::InvalidArgument,
        message: "state key cannot be empty".into(),
        ..save(store, "", ErrorKind::Internal)
    }
}

pub(crate) fn delete(key: &str, cause: &str, kind: ErrorKind) -> ApiError {
    let (http, grpc) = write_status(kind);
    let message = format!("failed deleting state with key {key}: {cause}");
    ApiError::basic("ERR_STATE_DELETE", http, grpc, message)
}

pub(crate) fn bulk_delete(store: &str, cause: &str, kind: ErrorKind) -> ApiError {
    let (http, grpc) = write_status(kind);
    let message = format!("failed deleting state in state store {store}: {cause}");
    ApiError::basic("ERR_STATE_BULK_DELETE", http, grpc, message)
}

pub(crate) fn transaction(cause: &str) -> ApiError {
    let message = format!("error while executing state transaction: {cause}");
    ApiError::basic("ERR_STATE_TRANSACTION", INTERNAL, Code::Internal, message)
}

pub(crate) fn unsupported_operation(operation: &str) -> ApiError {
    let message = format!("operation type {operation} not supported");
    ApiError::basic(
        "ERR_NOT_SUPPORTED_STATE_OPERATION",
        BAD_REQUEST,
        Code::Unimplemented,
        message,
    )
}

pub(crate) fn no_transactions(store: &str) -> ApiError {
    let message = format!("state store {store} doesn't support transactions");
    let details = vec![
        Detail::Help {
            url: "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
            description: "Check the list of state stores and the features they support",
        },
        resource(store),
        info("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED", None),
    ];
    ApiError::rich(
        "ERR_STATE_STORE_NOT_SUPPORTED",
        INTERNAL,
        Code::Unimplemented,
        message,
        details,
    )
}

pub(crate) fn no_query(store: &str) -> ApiError {
    let details = vec![
        resource(store),
        info("DAPR_STATE_QUERYING_NOT_SUPPORTED", None),
    ];
    let message = "state store does not support querying";
    ApiError::rich(
        "ERR_STATE_STORE_NOT_SUPPORTED",
        INTERNAL,
        Code::Internal,
        message,
        details,
    )
}

/// Of our own alpha API for listing keys; shaped like the query's.
pub(crate) fn no_keys(store: &str) -> ApiError {
    let details = vec![
        resource(store),
        info("DAPR_STATE_LISTING_KEYS_NOT_SUPPORTED", None),
    ];
    let message = format!("state store {store} doesn't support listing keys");
    ApiError::rich(
        "ERR_STATE_STORE_NOT_SUPPORTED",
        INTERNAL,
        Code::Unimplemented,
        message,
        details,
    )
}

pub(crate) fn keys(store: &str, cause: &str, kind: ErrorKind) -> ApiError {
    let (http, grpc) = match kind {
        ErrorKind::InvalidRequest => (BAD_REQUEST, Code::InvalidArgument),
        _ => (INTERNAL, Code::Internal),
    };
    let details = vec![
        resource(store),
        info("DAPR_STATE_LISTING_KEYS_FAILED", None),
    ];
    let message = format!("failed listing keys of state store {store}: {cause}");
    ApiError::rich("ERR_STATE_KEYS", http, grpc, message, details)
}

pub(crate) fn too_many_operations(store: &str, count: usize, max: usize) -> ApiError {
    let message = format!(
        "the transaction contains {count} operations, which is more than what the state store supports: {max}"
    );
    let metadata = BTreeMap::from([
        ("currentOpsTransaction".to_owned(), count.to_string()),
        ("maxOpsPerTransaction".to_owned(), max.to_string()),
    ]);
    let details = vec![
        resource(store),
        info("DAPR_STATE_TOO_MANY_TRANSACTIONS", Some(metadata)),
    ];
    ApiError::rich(
        "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn query(store: &str, cause: &str) -> ApiError {
    let message = format!("state store {store} query failed: {cause}");
    let details = vec![resource(store), info("DAPR_STATE_QUERY_FAILED", None)];
    ApiError::rich(
        "ERR_STATE_QUERY",
        INTERNAL,
        Code::Internal,
        message,
        details,
    )
}
