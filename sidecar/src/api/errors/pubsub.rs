//! Errors of the pub/sub block.

use std::collections::BTreeMap;

use http::StatusCode;
use tonic::Code;

use super::{BAD_REQUEST, INTERNAL, NOT_FOUND};
use crate::api::error::{ApiError, Detail};

/// HTTP shows the request's metadata in the ErrorInfo, gRPC shows none.
pub(crate) type Shown = Option<BTreeMap<String, String>>;

fn info(reason: &'static str, metadata: Shown) -> Detail {
    Detail::ErrorInfo {
        reason: reason.into(),
        metadata,
    }
}

fn with<const N: usize>(pairs: [(&str, &str); N]) -> Shown {
    Some(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
}

fn resource(name: &str, message: &str) -> Detail {
    Detail::ResourceInfo {
        kind: "pubsub",
        name: name.into(),
        owner: String::new(),
        description: message.into(),
    }
}

pub(crate) fn not_found(name: &str, metadata: Shown) -> ApiError {
    let message = format!("pubsub {name} is not found");
    let details = vec![info("DAPR_PUBSUB_NOT_FOUND", metadata)];
    ApiError::rich(
        "ERR_PUBSUB_NOT_FOUND",
        NOT_FOUND,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn name_empty(metadata: Shown) -> ApiError {
    let message = "pubsub name is empty";
    let details = vec![
        resource("", message),
        info("DAPR_PUBSUB_NAME_EMPTY", metadata),
    ];
    ApiError::rich(
        "ERR_PUBSUB_EMPTY",
        NOT_FOUND,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn topic_empty(name: &str, metadata: Shown) -> ApiError {
    let message = format!("topic is empty in pubsub {name}");
    let details = vec![
        resource(name, &message),
        info("DAPR_PUBSUB_TOPIC_NAME_EMPTY", metadata),
    ];
    ApiError::rich(
        "ERR_TOPIC_NAME_EMPTY",
        NOT_FOUND,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn metadata(name: &str, cause: &str, metadata: Shown) -> ApiError {
    let message = format!("failed deserializing metadata. Error: {cause}");
    let details = vec![
        resource(name, &message),
        info("DAPR_PUBSUB_METADATA_DESERIALIZATION", metadata),
    ];
    ApiError::rich(
        "ERR_PUBSUB_REQUEST_METADATA",
        BAD_REQUEST,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn cloud_event(name: &str, app_id: &str, cause: &str) -> ApiError {
    let message = "cannot create cloudevent";
    let metadata = with([("appID", app_id), ("error", cause)]);
    let details = vec![
        resource(name, message),
        info("DAPR_PUBSUB_CLOUD_EVENT_CREATION", metadata),
    ];
    ApiError::rich(
        "ERR_PUBSUB_CLOUD_EVENTS_SER",
        INTERNAL,
        Code::InvalidArgument,
        message,
        details,
    )
}

pub(crate) fn forbidden(name: &str, topic: &str, app_id: &str) -> ApiError {
    let message = format!("topic {topic} is not allowed for app id {app_id}");
    let metadata = with([("topic", topic), ("error", &message)]);
    let details = vec![
        resource(name, &message),
        info("DAPR_PUBSUB_FORBIDDEN", metadata),
    ];
    ApiError::rich(
        "ERR_PUBSUB_FORBIDDEN",
        StatusCode::FORBIDDEN,
        Code::PermissionDenied,
        message,
        details,
    )
}

pub(crate) fn publish(name: &str, topic: &str, cause: &str) -> ApiError {
    let message = format!("error when publishing to topic {topic} in pubsub {name}: {cause}");
    let metadata = with([("topic", topic), ("error", cause)]);
    let details = vec![
        resource(name, &message),
        info("DAPR_PUBSUB_PUBLISH_MESSAGE", metadata),
    ];
    ApiError::rich(
        "ERR_PUBSUB_PUBLISH_MESSAGE",
        INTERNAL,
        Code::Internal,
        message,
        details,
    )
}
