//! Publishing over HTTP.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};

use super::{Brokers, Publish, told};
use crate::api::body;
use crate::api::errors::pubsub as errors;
use crate::api::http::{Group, Routes};
use crate::api::path;
use crate::api::router::{Call, on};
use crate::api::trace::Traced;

pub(crate) fn routes(brokers: &Brokers) -> Routes {
    let brokers = Arc::new(brokers.clone());
    let bulk = || on(&brokers).write(bulk);
    let (v1, alpha1) = (
        Group::new("publish", "v1"),
        Group::new("publish", "v1alpha1"),
    );
    Routes::new()
        .add(
            v1,
            "/v1.0/publish/{pubsub}/{*topic}",
            on(&brokers).write(publish),
        )
        .add(v1, "/v1.0/publish/bulk/{pubsub}/{*topic}", bulk())
        .add(
            alpha1,
            "/v1.0-alpha1/publish/bulk/{pubsub}/{*topic}",
            bulk(),
        )
}

async fn bulk(brokers: Arc<Brokers>, call: Call) -> Result<Response, Response> {
    let pubsub = call.param("pubsub")?.into_owned();
    Ok(brokers
        .bulk(&pubsub, Some(path::metadata(call.query())))
        .into_response())
}

async fn publish(brokers: Arc<Brokers>, call: Call) -> Result<Response, Response> {
    let (pubsub, topic) = (
        call.param("pubsub")?.into_owned(),
        call.param("topic")?.into_owned(),
    );
    let metadata = path::metadata(call.query());
    let (parts, body) = call.req.into_parts();
    let data = body::read(body).await;
    let data =
        data.map_err(|e| errors::publish(&pubsub, &topic, &e.to_string()).into_response())?;
    let (traceparent, tracestate) = match parts.extensions.get::<Traced>() {
        Some(traced) => told(traced),
        None => (
            text(&parts.headers, &HeaderName::from_static("traceparent")),
            text(&parts.headers, &HeaderName::from_static("tracestate")),
        ),
    };
    let message = Publish {
        pubsub,
        topic,
        data,
        content_type: text(&parts.headers, &CONTENT_TYPE),
        traceparent,
        tracestate,
        metadata: metadata.clone(),
    };
    brokers
        .publish(message, Some(metadata))
        .await
        .map_err(IntoResponse::into_response)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers
        .get(name)
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        .unwrap_or_default()
}
