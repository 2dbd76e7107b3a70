//! `nameresolution.sqlite`: the sidecars of one machine find each other in a file.

mod config;
mod hosts;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

pub use self::config::Config;
use self::hosts::Hosts;

const RETRY: Duration = Duration::from_millis(50);

/// A sidecar's row, which it renews, and its view of the others.
pub struct SqliteResolver {
    hosts: Hosts,
    registration: String,
    update_interval: Duration,
    /// Set when the row was gone at a renewal.
    lost: watch::Receiver<bool>,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Resolver for SqliteResolver {
    type Config = Config;

    async fn open(config: Config, env: Env, instance: Instance) -> Result<Self> {
        config.validate()?;
        let address = address(&instance)?;
        let hosts = Hosts::open(&config).await?;
        let registration = hosts.register(address, instance.app_id).await;
        let registration = registration.map_err(|e| prefixed("failed to register host: ", e))?;
        let (set_lost, lost) = watch::channel(false);
        let stop = env.shutdown.child_token();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let renewing = renew(
                hosts.clone(),
                registration.clone(),
                config.clone(),
                env.clone(),
            );
            let stop = stop.clone();
            async move {
                if stop.run_until_cancelled(renewing).await.is_some() {
                    let _ = set_lost.send(true);
                }
            }
        });
        if !config.cleanup_interval.0.is_zero() {
            let (cleaning, stop) = (clean_up(hosts.clone(), config.clone(), env), stop.clone());
            tasks.spawn(async move {
                stop.run_until_cancelled(cleaning).await;
            });
        }
        Ok(Self {
            hosts,
            registration,
            update_interval: config.update_interval.0,
            lost,
            stop,
            tasks: Mutex::new(tasks),
        })
    }
}

#[async_trait]
impl NameResolver for SqliteResolver {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        let found = self.hosts.find(req.id, self.update_interval).await;
        match found.map_err(|e| prefixed("failed to look up address: ", e))? {
            Some(address) => Ok(vec![address]),
            None => {
                let message = "no host found with the given ID";
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    async fn lost(&self) -> Error {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            // The task ended without a loss.
            std::future::pending::<()>().await;
        }
        Error::unavailable("Host registration lost")
    }

    async fn close(&self) {
        self.stop.cancel();
        drop(std::mem::take(&mut *self.tasks.lock()));
        let deleted = self.hosts.unregister(&self.registration).await;
        let failure = match deleted {
            Ok(true) => return,
            Ok(false) => "no row deleted".to_owned(),
            Err(e) => e.to_string(),
        };
        tracing::warn!(target: "dapr.contrib", "failed to unregister host: {failure}");
    }
}

/// Ends when the row is gone. Failing to reach the file is no loss: the row may
/// be there the next time.
async fn renew(hosts: Hosts, registration: String, config: Config, env: Env) {
    let mut ticks = every(config.renewal());
    loop {
        ticks.tick().await;
        let end = Instant::now() + config.timeout.0;
        loop {
            match hosts.renew(&registration).await {
                Ok(true) => break,
                Ok(false) => return,
                Err(error) if Instant::now() + RETRY >= end => {
                    tracing::warn!(parent: &env.span, "failed to update host registration: {error}");
                    break;
                }
                Err(_) => sleep(RETRY).await,
            }
        }
    }
}

async fn clean_up(hosts: Hosts, config: Config, env: Env) {
    let mut ticks = every(config.cleanup_interval.0);
    loop {
        ticks.tick().await;
        let (age, interval) = (config.update_interval.0, config.cleanup_interval.0);
        match hosts.clean_up(age, interval).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(parent: &env.span, "removed {rows} old registrations"),
            Err(e) => tracing::warn!(parent: &env.span, "removing old registrations failed: {e}"),
        }
    }
}

/// The first tick comes after a whole period.
fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.reset();
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn address(instance: &Instance) -> Result<String> {
    if instance.app_id.is_empty() {
        return Err(Error::config("name is missing"));
    }
    if instance.address.is_empty() {
        return Err(Error::config("address is missing"));
    }
    if instance.internal_port == 0 {
        return Err(Error::config("port is missing or invalid"));
    }
    let host = instance.address.trim_matches(['[', ']']);
    let port = instance.internal_port;
    Ok(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

fn prefixed(text: &str, error: Error) -> Error {
    Error::new(error.kind, format!("{text}{error}")).with_source(error)
}
