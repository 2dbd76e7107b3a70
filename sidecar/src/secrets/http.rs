//! Secrets over HTTP.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Secrets;
use crate::api::error::json_response;
use crate::api::errors::unclassified;
use crate::api::http::{Group, Routes};
use crate::api::json;
use crate::api::path;
use crate::api::router::{Call, on};

const V1: Group = Group::new("secrets", "v1");

pub(crate) fn routes(secrets: Secrets) -> Routes {
    let secrets = Arc::new(secrets);
    Routes::new()
        .add(V1, "/v1.0/secrets/{store}/bulk", on(&secrets).get(bulk))
        .add(V1, "/v1.0/secrets/{store}/{key}", on(&secrets).get(one))
}

async fn one(secrets: Arc<Secrets>, call: Call) -> Result<Response, Response> {
    let (store, key) = (
        call.param("store")?.into_owned(),
        call.param("key")?.into_owned(),
    );
    let metadata = path::metadata(call.query());
    let secret = secrets
        .get(&store, &key, &metadata)
        .await
        .map_err(IntoResponse::into_response)?;
    if secret.0.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    answer(&secret.0)
}

async fn bulk(secrets: Arc<Secrets>, call: Call) -> Result<Response, Response> {
    let store = call.param("store")?.into_owned();
    let metadata = path::metadata(call.query());
    let all = secrets
        .bulk_get(&store, &metadata)
        .await
        .map_err(IntoResponse::into_response)?;
    answer(
        &all.iter()
            .map(|(name, secret)| (name, &secret.0))
            .collect::<std::collections::BTreeMap<_, _>>(),
    )
}

#[allow(clippy::result_large_err)] // the error is the answer, and comes once per request
fn answer<T: serde::Serialize>(value: &T) -> Result<Response, Response> {
    let mut body = json::to_vec(value).map_err(|e| unclassified(e.to_string()).into_response())?;
    body.push(b'\n');
    Ok(json_response(StatusCode::OK, body))
}
