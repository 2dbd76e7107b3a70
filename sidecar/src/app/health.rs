//! Health of the app: probes, and what follows from them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use proto::dapr::runtime::v1::app_callback_health_check_client::AppCallbackHealthCheckClient;
use service::Tasks;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{App, Inner, reason};
use crate::flags::HealthConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppHealth {
    Healthy,
    Unhealthy,
}

/// Counts probes. As upstream has it, a success of a healthy app does not clear
/// the failures before it: they add up until the threshold is reached.
#[derive(Debug)]
struct Counter {
    threshold: u32,
    failures: u32,
    state: AppHealth,
}

impl Counter {
    fn new(threshold: u32) -> Self {
        Self {
            threshold,
            failures: 0,
            state: AppHealth::Unhealthy,
        }
    }

    /// The new state, when a probe changes it.
    fn on(&mut self, success: bool) -> Option<AppHealth> {
        match (self.state, success) {
            (AppHealth::Unhealthy, true) => {
                self.failures = 0;
                self.state = AppHealth::Healthy;
                Some(self.state)
            }
            (AppHealth::Healthy, false) => {
                self.failures += 1;
                if self.failures < self.threshold {
                    return None;
                }
                self.state = AppHealth::Unhealthy;
                Some(self.state)
            }
            _ => None,
        }
    }
}

impl App {
    /// Starts the probes, if they are asked for, and returns at the first healthy
    /// one. Tells whether there are any.
    pub(crate) async fn probed(&self, tasks: &Tasks) -> bool {
        let Some(inner) = &self.inner else {
            return false;
        };
        let Some(config) = inner.config.health.clone() else {
            return false;
        };
        let (prober, token) = (inner.clone(), tasks.token());
        tasks.spawn("app health probes", async move {
            tracing::info!(target: "dapr.apphealth", "App health probes starting");
            tokio::select! {
                () = probes(&prober, &config) => {}
                () = token.cancelled() => {}
            }
            tracing::info!(target: "dapr.apphealth", "App health probes stopping");
        });
        let mut health = inner.health.subscribe();
        // The sender is in `inner`.
        let _ = health.wait_for(|h| *h == AppHealth::Healthy).await;
        true
    }

    /// Counts an app without probes as healthy from now on.
    pub(crate) fn accept(&self) {
        if let Some(inner) = &self.inner {
            inner.health.send_replace(AppHealth::Healthy);
        }
    }
}

async fn probes(inner: &Arc<Inner>, config: &HealthConfig) {
    let mut counter = Counter::new(config.threshold);
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let start = Instant::now();
        let result = if inner.protocol.is_grpc() {
            inner.probe_grpc(config.timeout).await
        } else {
            inner.probe_http(config).await
        };
        if let Some(metrics) = &inner.metrics {
            metrics.probe(inner.protocol, result.is_ok(), start.elapsed());
        }
        match (counter.on(result.is_ok()), result) {
            (Some(AppHealth::Healthy), _) => {
                tracing::info!(target: "dapr.apphealth", "App entered healthy status");
                inner.health.send_replace(AppHealth::Healthy);
            }
            (Some(AppHealth::Unhealthy), Err(reason)) => {
                tracing::warn!(target: "dapr.apphealth", "App entered un-healthy status: {reason}");
                inner.health.send_replace(AppHealth::Unhealthy);
            }
            _ => {}
        }
    }
}

impl Inner {
    /// Probes carry no token and take no place among the concurrent calls.
    async fn probe_http(&self, config: &HealthConfig) -> Result<(), String> {
        let path = if config.path.starts_with('/') {
            config.path.clone()
        } else {
            format!("/{}", config.path)
        };
        let path = path
            .parse()
            .map_err(|e| format!("Network error: path '{path}' is not valid: {e}"))?;
        let mut req = Request::new(Body::empty());
        *req.uri_mut() = self.address(&path);
        let status = match timeout(config.timeout, self.client.request(req)).await {
            Ok(Ok(response)) => response.status(),
            Ok(Err(e)) => return Err(format!("Network error: {}", reason(&e))),
            Err(_) => return Err("Network error: context deadline exceeded".into()),
        };
        if status.is_success() {
            Ok(())
        } else {
            Err(format!(
                "Health check failed with status code: {}",
                status.as_u16()
            ))
        }
    }

    async fn probe_grpc(&self, limit: Duration) -> Result<(), String> {
        let mut client = AppCallbackHealthCheckClient::new(self.channel.clone());
        let error = match timeout(limit, client.health_check(())).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => "context deadline exceeded".into(),
        };
        tracing::error!(target: "dapr.apphealth", "App health probe could not complete with error: {error}");
        Err(format!("Probe error: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(threshold: u32, probes: &str, expected: &str) {
        let mut counter = Counter::new(threshold);
        let states: String = probes
            .chars()
            .map(|c| {
                counter.on(c == '+');
                if counter.state == AppHealth::Healthy {
                    'H'
                } else {
                    'u'
                }
            })
            .collect();
        assert_eq!(states, expected, "threshold {threshold}, probes {probes}");
    }

    #[test]
    fn probes_change_the_state_at_the_threshold() {
        check(3, "-+---+", "uHHHuH");
        check(1, "+-+-", "HuHu");
        check(3, "--", "uu");
        check(3, "+-+-+-+", "HHHHHuH");
    }
}
