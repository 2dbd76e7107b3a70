//! Waiting until the app listens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::App;
use super::connect::Connector;

const DIAL: Duration = Duration::from_millis(500);
/// The first tries come quickly, for an app that starts beside its sidecar; then
/// one every 100 ms, as upstream.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_millis(100);

impl App {
    /// Returns when the app's port accepts a connection (and completes a TLS
    /// handshake, where its protocol has one). Waits without a limit.
    pub(crate) async fn wait_for_port(&self) {
        let Some(inner) = &self.inner else { return };
        let port = inner.config.port.unwrap_or_default();
        tracing::info!(
            target: "dapr.runtime",
            "application protocol: {}. waiting on port {port}.  This will block until the app is listening on that port.",
            inner.config.protocol
        );
        let mut pause = FIRST_PAUSE;
        for attempt in 1_u64.. {
            let connector = Connector::new(inner.protocol);
            if matches!(
                timeout(DIAL, connector.connect(&inner.config.address, port)).await,
                Ok(Ok(_))
            ) {
                break;
            }
            if attempt.is_multiple_of(100) {
                tracing::info!(target: "dapr.runtime", "waiting for application to listen on port {port}");
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
        tracing::info!(target: "dapr.runtime", "application discovered on port {port}");
        inner.found.store(true, Ordering::Release);
    }
}
