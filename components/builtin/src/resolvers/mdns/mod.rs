//! `nameresolution.mdns`: sidecars of one network, and of one machine, find each
//! other by multicast.
//!
//! Upstream names the service by the bare app id, which the usual libraries
//! refuse; the small part of multicast DNS that is needed is here. Where there
//! is no multicast the resolver opens all the same and finds nobody, until an
//! interface comes.

mod cache;
mod link;
mod name;
mod origin;
mod packet;
mod registration;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, ErrorKind, JsonSchema, Result};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant as Time, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::link::{Answered, Link, Shared};
use self::name::Name;
use self::registration::{Registration, service};
use self::sockets::Sockets;

/// How long a caller waits for the first answer.
const WAIT: Duration = Duration::from_secs(1);
/// When it asks once more, because packets get lost.
const AGAIN: Duration = Duration::from_millis(400);
/// How long closing waits for the goodbye to be sent.
const GOODBYE: Duration = Duration::from_secs(1);
const WAITING_ASKS: usize = 64;

/// What this process has registered, over all its resolvers.
static REGISTERED: LazyLock<Mutex<HashSet<(String, u16)>>> = LazyLock::new(Mutex::default);

/// There is nothing to configure.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Config {}

pub(crate) struct Mdns {
    app_id: String,
    shared: Arc<Shared>,
    asks: mpsc::Sender<Name>,
    stop: CancellationToken,
    task: Mutex<JoinSet<()>>,
    entry: Mutex<Option<Entry>>,
}

impl Resolver for Mdns {
    type Config = Config;

    async fn open(_: Config, env: Env, instance: Instance) -> Result<Self> {
        let (address, port) = checked(&instance)?;
        let entry = Entry::new(&instance.app_id, port)?;
        let hostname = hostname();
        let registration = Registration::new(
            &instance.app_id,
            &hostname,
            std::process::id(),
            address,
            port,
        );
        let registration = registration.ok_or_else(|| {
            Error::config(format!(
                "app id {:?} or host name {hostname:?} cannot be a DNS name: use labels of 1 to 63 bytes",
                instance.app_id
            ))
        })?;
        let shared = Arc::new(Shared::default());
        let (asks, received) = mpsc::channel(WAITING_ASKS);
        let mut link = Link {
            sockets: Sockets::default(),
            registration,
            label: format!("{} -> {}:{port}", instance.app_id, instance.address),
            shared: shared.clone(),
            asks: received,
            answered: Answered::default(),
        };
        link.refresh();
        if !link.sockets.joined() {
            tracing::warn!(target: "dapr.contrib", "mDNS finds no network interface with multicast; it looks again every few seconds");
        }
        let stop = env.shutdown.child_token();
        let mut task = JoinSet::new();
        task.spawn(link.run(stop.clone()));
        Ok(Self {
            app_id: instance.app_id,
            shared,
            asks,
            stop,
            task: Mutex::new(task),
            entry: Mutex::new(Some(entry)),
        })
    }
}

#[async_trait]
impl NameResolver for Mdns {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        let id = &req.id;
        let missing = || {
            let message = format!("couldn't find service: {id}");
            Err(Error::new(ErrorKind::NotFound, message))
        };
        let mut learned = self.shared.learned.subscribe();
        let end = Time::now() + WAIT;
        loop {
            let now = Time::now();
            let picked = self.shared.cache.lock().pick(id, now);
            if let Some((address, refresh)) = picked {
                self.ask(refresh);
                return Ok(vec![address.to_string()]);
            }
            let hopeless = !self.shared.joined.load(Ordering::Relaxed) || service(id).is_none();
            if now >= end || hopeless {
                return missing();
            }
            let query = self.shared.cache.lock().ask(id, now);
            self.ask(query);
            // Nothing learned in time: ask once more, or give up.
            let _ = timeout_at((now + AGAIN).min(end), learned.changed()).await;
        }
    }

    async fn close(&self) {
        tracing::info!(target: "dapr.contrib", "stopping mDNS server for app id: {}", self.app_id);
        self.stop.cancel();
        let mut task = std::mem::take(&mut *self.task.lock());
        let _ = timeout(GOODBYE, task.join_next()).await;
        self.entry.lock().take();
    }
}

impl Mdns {
    /// A full queue holds queries already; the caller asks again by itself.
    fn ask(&self, query: Option<Name>) {
        if let Some(query) = query {
            let _ = self.asks.try_send(query);
        }
    }
}

fn checked(instance: &Instance) -> Result<(IpAddr, u16)> {
    if instance.app_id.is_empty() {
        return Err(Error::config("name is missing"));
    }
    if instance.address.is_empty() {
        return Err(Error::config("address is missing"));
    }
    if instance.internal_port == 0 {
        return Err(Error::config("port is missing or invalid"));
    }
    let literal = instance.address.trim_matches(['[', ']']);
    let address = literal.parse().map_err(|_| {
        Error::config(format!(
            "address {:?} is not an IP address; set DAPR_HOST_IP to one",
            instance.address
        ))
    })?;
    Ok((address, instance.internal_port))
}

/// A place in `REGISTERED`, given back when the resolver goes.
struct Entry((String, u16));

impl Entry {
    fn new(app_id: &str, port: u16) -> Result<Self> {
        let key = (app_id.to_owned(), port);
        if !REGISTERED.lock().insert(key.clone()) {
            let message = format!("app id {app_id} already registered for port {port}");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(Self(key))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        REGISTERED.lock().remove(&self.0);
    }
}

fn hostname() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = kernel.or_else(|_| std::env::var("HOSTNAME"));
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        "localhost".into()
    } else {
        name
    }
}
