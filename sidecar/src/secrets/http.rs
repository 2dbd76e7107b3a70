//! Secrets over HTTP.

use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use super::Secrets;
use crate::api::error::json_response;
use crate::api::errors::unclassified;
use crate::api::http::{Group, Routes};
use crate::api::json;
use crate::api::path::{self, param};

const V1: Group = Group::new("secrets", "v1");

pub(crate) fn routes(secrets: Secrets) -> Routes {
    Routes::new()
        .add(
            V1,
            "/v1.0/secrets/{store}/bulk",
            get(bulk).with_state(secrets.clone()),
        )
        .add(
            V1,
            "/v1.0/secrets/{store}/{key}",
            get(one).with_state(secrets),
        )
}

async fn one(
    State(secrets): State<Secrets>,
    params: RawPathParams,
    req: Request,
) -> Result<Response, Response> {
    let (store, key) = (param(&params, "store")?, param(&params, "key")?);
    let metadata = path::metadata(req.uri().query());
    let secret = secrets
        .get(&store, &key, &metadata)
        .await
        .map_err(IntoResponse::into_response)?;
    if secret.0.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    answer(&secret.0)
}

async fn bulk(
    State(secrets): State<Secrets>,
    params: RawPathParams,
    req: Request,
) -> Result<Response, Response> {
    let store = param(&params, "store")?;
    let metadata = path::metadata(req.uri().query());
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
