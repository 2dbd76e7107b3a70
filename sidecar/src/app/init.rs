//! What the app is asked when it first becomes healthy.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::{App, Error};

const SCOPE: &str = "dapr.runtime";
const ANSWER: Duration = Duration::from_secs(60);
/// Of an answer, in bytes.
const LARGEST: usize = 4 << 20;

impl App {
    /// What the app answers to `/dapr/config`, which is about actors; `None` when it
    /// is not asked or has nothing to say.
    pub(crate) async fn configuration(&self, app_id: &str) -> Option<Bytes> {
        let inner = self.inner.as_ref()?;
        if !inner.config.ask_config {
            tracing::warn!(
                target: SCOPE,
                "Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)"
            );
            return None;
        }
        if inner.protocol.is_grpc() {
            return None;
        }
        let answer = timeout(ANSWER, async {
            let response = self
                .ask("/dapr/config", app_id)
                .await
                .map_err(|e| e.to_string())?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|e| e.to_string())?.to_bytes();
            Ok::<_, String>((parts.status == StatusCode::OK && !body.is_empty()).then_some(body))
        });
        match answer.await {
            Ok(Ok(answer)) => {
                tracing::info!(target: SCOPE, "Application configuration loaded");
                answer
            }
            Ok(Err(e)) => {
                tracing::warn!(target: SCOPE, "Failed to complete app init: {e} ");
                None
            }
            Err(_) => {
                tracing::warn!(
                    target: SCOPE,
                    "Failed to complete app init: GET /dapr/config was not answered within {}s ",
                    ANSWER.as_secs()
                );
                None
            }
        }
    }

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
