//! What the app is asked when it first becomes healthy.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use tokio::time::timeout;

use super::{App, Error};

const ANSWER: Duration = Duration::from_secs(60);

impl App {
    /// Asks for the app's configuration. What it says concerns actors, which are
    /// not part of this build.
    pub(crate) async fn initialize(&self, app_id: &str) {
        let Some(inner) = &self.inner else { return };
        if !inner.config.ask_config {
            tracing::warn!(
                target: "dapr.runtime",
                "Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)"
            );
            return;
        }
        if inner.protocol.is_grpc() {
            return;
        }
        match timeout(ANSWER, self.ask("/dapr/config", app_id)).await {
            Ok(Ok(_)) => {
                tracing::info!(target: "dapr.runtime", "Application configuration loaded")
            }
            Ok(Err(e)) => {
                tracing::warn!(target: "dapr.runtime", "Failed to complete app init: {e} ")
            }
            Err(_) => tracing::warn!(
                target: "dapr.runtime",
                "Failed to complete app init: GET /dapr/config was not answered within {}s ",
                ANSWER.as_secs()
            ),
        }
    }
}

impl App {
    /// A question of the sidecar's own, which does not wait for the app's health.
    pub(crate) async fn ask(&self, path: &'static str, app_id: &str) -> Result<Response, Error> {
        let inner = self.inner.as_ref().ok_or(Error::NoApp)?;
        let req = Request::get(path)
            .header("Dapr-App-Id", app_id)
            .body(Body::empty());
        let req = req.map_err(|e| Error::Unreachable(e.to_string()))?;
        inner.send(req).await
    }
}
