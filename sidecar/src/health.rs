//! The health routes: `/v1.0/healthz` and `/v1.0/healthz/outbound`.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use service::health::{Health, Target};

use crate::api::errors;
use crate::api::http::{Group, Routes};
use crate::api::path;

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
        Routes::new()
            .add(V1, "/v1.0/healthz", get(healthz).with_state(self.clone()))
            .add(
                V1,
                "/v1.0/healthz/outbound",
                get(outbound).with_state(self.clone()),
            )
    }
}

async fn healthz(State(health): State<Healthz>, req: Request) -> Response {
    let unready = health.all.unready();
    if !unready.is_empty() || !health.all.is_ready() {
        return errors::not_ready(&unready).into_response();
    }
    match path::query_value(req.uri().query(), "appid") {
        Some(asked) if !asked.is_empty() && asked != health.app_id => {
            errors::app_id_not_match().into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn outbound(State(health): State<Healthz>) -> Response {
    if health.outbound.is_ready() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        errors::outbound_not_ready().into_response()
    }
}
