//! The health routes: `/v1.0/healthz` and `/v1.0/healthz/outbound`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use service::health::{Health, Target};

use crate::api::errors;
use crate::api::http::{Group, Routes};
use crate::api::path;
use crate::api::router::{Call, on};

/// What the routes look at.
#[derive(Clone)]
pub(crate) struct Healthz {
    pub(crate) app_id: String,
    /// Everything, the app's port included.
    pub(crate) all: Health,
    /// Whether the APIs can be used; does not wait for the app.
    pub(crate) outbound: Target,
}

const V1: Group = Group::new("healthz", "v1");

impl Healthz {
    pub(crate) fn routes(&self) -> Routes {
        let me = Arc::new(self.clone());
        Routes::new()
            .add(V1, "/v1.0/healthz", on(&me).get(healthz))
            .add(V1, "/v1.0/healthz/outbound", on(&me).get(outbound))
    }
}

async fn healthz(health: Arc<Healthz>, call: Call) -> Response {
    let unready = health.all.unready();
    if !unready.is_empty() || !health.all.is_ready() {
        return errors::not_ready(&unready).into_response();
    }
    match path::query_value(call.query(), "appid") {
        Some(asked) if !asked.is_empty() && asked != health.app_id => {
            errors::app_id_not_match().into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn outbound(health: Arc<Healthz>, _: Call) -> Response {
    if health.outbound.is_ready() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        errors::outbound_not_ready().into_response()
    }
}
