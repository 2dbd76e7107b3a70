//! What the app is asked when it first becomes healthy.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use tokio::time::timeout;

use super::{App, AppHealth, Inner};

const ANSWER: Duration = Duration::from_secs(60);

impl App {
    /// Waits for the app's health, then asks for its configuration once. What it
    /// says concerns actors, which are not part of this build.
    pub(crate) async fn initialize(&self, app_id: &str) {
        let Some(inner) = &self.inner else { return };
        let mut health = inner.health.subscribe();
        if health.wait_for(|h| *h == AppHealth::Healthy).await.is_err() {
            return;
        }
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
        match timeout(ANSWER, inner.ask(app_id)).await {
            Ok(Ok(())) => {
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

impl Inner {
    async fn ask(&self, app_id: &str) -> Result<(), super::Error> {
        let req = Request::get("/dapr/config")
            .header("Dapr-App-Id", app_id)
            .body(Body::empty());
        let req = req.map_err(|e| super::Error::Unreachable(e.to_string()))?;
        self.send(req).await.map(drop)
    }
}
