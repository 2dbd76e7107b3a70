//! Which schedulers there are: one of the configured ones tells, and tells again
//! when that changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use service::Tasks;
use service::health::Target as Ready;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::Inner;
use super::connect::Host;

pub(super) const SCOPE: &str = "dapr.runtime.scheduler.watchhosts";
const CLIENTS: &str = "dapr.runtime.scheduler.clients";

const PAUSE: Duration = Duration::from_secs(1);
/// A scheduler that does not know its cluster yet says nothing for a while; after
/// this another one is asked.
const FIRST: Duration = Duration::from_secs(30);
/// More than any cluster has.
const MOST: usize = 256;

/// The schedulers, each address once.
pub(super) type Hosts = Arc<[Arc<Host>]>;

/// Keeps the list of hosts of a client.
pub(super) struct Watcher {
    pub(super) client: Arc<Inner>,
    pub(super) ready: Ready,
    pub(super) tasks: Tasks,
}

/// Why the list is no longer followed.
enum Lost {
    Connection(String),
    Stream(String),
}

impl Watcher {
    pub(super) async fn run(self) {
        let mut lost_before = false;
        loop {
            let lost = match self.follow(&mut lost_before).await {
                Ok(()) => return std::future::pending().await,
                Err(lost) => lost,
            };
            let pause = match lost {
                Lost::Connection(cause) if lost_before => {
                    tracing::debug!(target: SCOPE, "Failed to connect to scheduler host: {cause}");
                    jittered()
                }
                Lost::Connection(cause) => {
                    tracing::error!(target: SCOPE, "Failed to connect to scheduler host: {cause}");
                    jittered()
                }
                Lost::Stream(cause) => {
                    tracing::warn!(target: SCOPE, "Scheduler WatchHosts stream error, reconnecting: {cause}");
                    PAUSE
                }
            };
            lost_before = true;
            sleep(pause).await;
        }
    }

    /// Follows the list of a configured address chosen at random. Returns when
    /// there is nothing to follow: an old scheduler does not know of others.
    async fn follow(&self, lost_before: &mut bool) -> Result<(), Lost> {
        let addresses = &self.client.addresses;
        let address = &addresses[rand::random_range(0..addresses.len())];
        let connected = self.client.dialer.connect(address).await;
        let channel = connected.map_err(|e| {
            let cause = crate::app::reason(&e);
            Lost::Connection(format!("{address}: {cause}"))
        })?;
        let mut scheduler = SchedulerClient::new(channel);
        let first = timeout(FIRST, async {
            let mut lists = scheduler.watch_hosts(wire::WatchHostsRequest {}).await?;
            let first = next(lists.get_mut()).await?;
            Ok::<_, Status>((first, lists.into_inner()))
        });
        let silent = || Lost::Stream(format!("{address} named no hosts within {FIRST:?}"));
        let (mut list, mut lists) = match first.await.map_err(|_| silent())? {
            Ok(told) => told,
            Err(status) if status.code() == Code::Unimplemented => {
                return self.use_hosts(addresses.iter().map(String::as_str));
            }
            Err(status) => return Err(Lost::Stream(status.message().to_owned())),
        };
        *lost_before = false;
        loop {
            self.use_hosts(list.hosts.iter().map(|host| host.address.as_str()))?;
            let told = next(&mut lists).await;
            list = told.map_err(|status| Lost::Stream(status.message().to_owned()))?;
        }
    }

    /// Calls go to these hosts from now on. Connections to hosts that stay are kept.
    fn use_hosts<'a>(&self, addresses: impl Iterator<Item = &'a str>) -> Result<(), Lost> {
        let wanted: BTreeSet<&str> = addresses.take(MOST).collect();
        let shown = wanted.iter().copied().collect::<Vec<_>>().join(" ");
        tracing::info!(target: SCOPE, "Connected and received scheduler hosts addresses: [{shown}]");
        let known = self.client.hosts.borrow().clone();
        let open = |address: &str| {
            if let Some(host) = known.iter().find(|host| &*host.address == address) {
                return Ok(host.clone());
            }
            let host = self.client.dialer.host(address, &self.tasks).map_err(|e| {
                let cause = format!("{address}: {}", crate::app::reason(&e));
                tracing::error!(target: SCOPE, "Failed to reload scheduler clients, retrying: {cause}");
                Lost::Stream(cause)
            })?;
            tracing::info!(target: CLIENTS, "Scheduler client initialized for address: {address}");
            Ok(Arc::new(host))
        };
        let hosts = wanted
            .into_iter()
            .map(open)
            .collect::<Result<Vec<_>, _>>()?;
        tracing::info!(target: CLIENTS, "Scheduler clients initialized");
        self.client.hosts.send_replace(hosts.into());
        self.ready.ready();
        Ok(())
    }
}

async fn next(
    lists: &mut Streaming<wire::WatchHostsResponse>,
) -> Result<wire::WatchHostsResponse, Status> {
    let next = lists.message().await?;
    next.ok_or_else(|| Status::unavailable("the stream ended"))
}

/// A second, give or take half of it.
fn jittered() -> Duration {
    PAUSE.mul_f64(rand::random_range(0.5..1.5))
}
