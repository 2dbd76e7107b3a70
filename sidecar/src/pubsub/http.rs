//! Publishing over HTTP.

use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};

use super::{Brokers, Publish, told};
use crate::api::body;
use crate::api::errors::pubsub as errors;
use crate::api::http::{Group, Routes};
use crate::api::path::{self, param};
use crate::api::trace::Traced;

pub(crate) fn routes(brokers: &Brokers) -> Routes {
    let bulk = || post(bulk).put(bulk).with_state(brokers.clone());
    let publish = post(publish).put(publish).with_state(brokers.clone());
    let (v1, alpha1) = (
        Group::new("publish", "v1"),
        Group::new("publish", "v1alpha1"),
    );
    Routes::new()
        .add(v1, "/v1.0/publish/{pubsub}/{*topic}", publish)
        .add(v1, "/v1.0/publish/bulk/{pubsub}/{*topic}", bulk())
        .add(
            alpha1,
            "/v1.0-alpha1/publish/bulk/{pubsub}/{*topic}",
            bulk(),
        )
}

async fn bulk(
    State(brokers): State<Brokers>,
    params: RawPathParams,
    req: Request,
) -> Result<Response, Response> {
    let pubsub = param(&params, "pubsub")?;
    Ok(brokers
        .bulk(&pubsub, Some(path::metadata(req.uri().query())))
        .into_response())
}

async fn publish(
    State(brokers): State<Brokers>,
    params: RawPathParams,
    req: Request,
) -> Result<Response, Response> {
    let (pubsub, topic) = (param(&params, "pubsub")?, param(&params, "topic")?);
    let metadata = path::metadata(req.uri().query());
    let (parts, body) = req.into_parts();
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
