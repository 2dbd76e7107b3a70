//! The shutdown API: asks the process to end, as a signal would.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::sync::watch;

use crate::api::http::{Group, Routes};
use crate::api::router::{Call, on};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asked {
    #[default]
    Nothing,
    Graceful,
    /// Exit code 1, nothing waited for.
    Forced,
}

#[derive(Clone)]
pub(crate) struct Shutdown(watch::Sender<Asked>);

impl Shutdown {
    pub(crate) fn new() -> (Self, watch::Receiver<Asked>) {
        let (sender, receiver) = watch::channel(Asked::Nothing);
        (Self(sender), receiver)
    }

    pub(crate) fn request(&self, forced: bool) {
        if forced {
            tracing::warn!(
                target: "dapr.api",
                "Force shutdown requested, exiting immediately without graceful shutdown"
            );
            self.0.send_replace(Asked::Forced);
        } else {
            tracing::info!(target: "dapr.api", "Shutdown requested via API");
            self.0.send_replace(Asked::Graceful);
        }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new().add(
            Group::new("shutdown", "v1"),
            "/v1.0/shutdown",
            on(&Arc::new(self.clone())).post(shutdown),
        )
    }
}

async fn shutdown(shutdown: Arc<Shutdown>, call: Call) -> Response {
    let forced = call
        .req
        .headers()
        .get("dapr-force-shutdown")
        .is_some_and(|v| v == "true");
    shutdown.request(forced);
    StatusCode::NO_CONTENT.into_response()
}
