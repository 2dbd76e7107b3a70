//! The loop around the stream of Placement: carries messages and does what the
//! dissemination decides.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join_all};
use proto::dapr::placement::v1::placement_client::PlacementClient;
use proto::dapr::placement::v1::{Host, HostOperation};
use security::{Connector, Security, Service};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::claims::Leaving;
use super::connect::{Rotation, connect, pause};
use super::dissemination::{Closing, Dissemination, Effect, Event};
use super::tables::{Own, Tables};
use super::{DISSEMINATOR, Halt, Hosted, Residents, Settings, Shared};
use crate::call::Actor;

const PLACEMENT: &str = "dapr.runtime.actors.placement.loops.placement";
const STREAM: &str = "dapr.runtime.actors.placement.loops.stream";
const LOCK: &str = "dapr.runtime.actors.loops.disseminator.inflight.lock";

/// What every sidecar since 1.13 sends; nobody reads it.
const API_LEVEL: u32 = 20;
/// Reports and acks that a server leaves unread before it is given up.
const MOST_UNREAD: usize = 64;
/// From the report to the first sign of a server: longer than it keeps newcomers waiting.
const FIRST_SIGN: Duration = Duration::from_secs(60);
/// The same trouble with connecting is an error in the log once in this time.
const AGAIN: Duration = Duration::from_secs(30);
/// How long deactivations are waited for when there is no stream to hold back.
const HALT: Duration = Duration::from_secs(5);

type Settling = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps the stream.
pub(super) struct Client {
    settings: Settings,
    connector: Connector,
    residents: Arc<dyn Residents>,
    shared: Arc<Shared>,
    rotation: Rotation,
    dissemination: Dissemination,
    hosted: watch::Receiver<Option<Arc<Hosted>>>,
    /// What was last said of failed connections, and when.
    complained: Option<(String, Instant)>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("rpc error: code = {:?} desc = {}", .0.code(), .0.message())]
    Refused(Box<Status>),
    #[error("EOF")]
    Closed,
    #[error("no answer within {FIRST_SIGN:?}")]
    Silent,
    #[error("placement leaves {MOST_UNREAD} messages unread")]
    Unread,
    #[error(transparent)]
    Given(#[from] Closing),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Ended {
    /// Only the leader serves, and the next server may be it.
    fn is_rotation(&self) -> bool {
        let Self::Refused(status) = self else {
            return false;
        };
        status.code() == Code::FailedPrecondition && status.message().contains("is not a leader")
    }
}

impl Client {
    pub(super) fn new(
        settings: Settings,
        security: &Security,
        residents: Arc<dyn Residents>,
        shared: Arc<Shared>,
    ) -> Self {
        let own = Own::new(&settings.host);
        Self {
            connector: security.control_plane_connector(Service::Placement),
            rotation: Rotation::new(settings.addresses.clone(), settings.kubernetes),
            dissemination: Dissemination::new(own, settings.disseminate_timeout),
            hosted: shared.hosted.subscribe(),
            complained: None,
            settings,
            residents,
            shared,
        }
    }

    /// Streams one after the other until the process ends.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let first = self.hosted.wait_for(Option::is_some);
        if end.run_until_cancelled(first).await.is_none() {
            return;
        }
        while let Some(wait) = self.stream(&end).await {
            end.run_until_cancelled(sleep(wait)).await;
        }
        tracing::info!(target: "dapr.runtime.actors.placement", "Placement client shutting down");
    }

    /// Upstream says the same twice a second for as long as nobody listens.
    fn complain(&mut self, cause: String) {
        let now = Instant::now();
        let fresh = self.complained.as_ref();
        let fresh = fresh.is_none_or(|(said, when)| *said != cause || now - *when >= AGAIN);
        if fresh {
            tracing::error!(target: PLACEMENT, "Failed to connect to placement service: {cause}. Retrying...");
            self.complained = Some((cause, now));
        } else {
            tracing::debug!(target: PLACEMENT, "Failed to connect to placement service: {cause}. Retrying...");
        }
    }

    /// One stream, or none when there is no connection; how long to wait before the next.
    async fn stream(&mut self, end: &CancellationToken) -> Option<Duration> {
        let connecting = connect(&mut self.rotation, &self.connector);
        let (server, address) = match end.run_until_cancelled(connecting).await? {
            Ok(connected) => connected,
            Err(error) => {
                self.complain(error.to_string());
                return Some(pause());
            }
        };
        self.complained = None;
        tracing::info!(target: PLACEMENT, "Connected to placement service: {address}");
        let (out, unsent) = mpsc::channel(MOST_UNREAD);
        let mut session = Session {
            client: self,
            out,
            settling: None,
            brought_orders: false,
        };
        let ended = end.run_until_cancelled(session.run(server, unsent)).await;
        let brought_orders = session.brought_orders;
        let Some(Err(ended)) = ended else {
            // The process ends, and shall not wait for long.
            let _ = timeout(HALT, self.lost()).await;
            return None;
        };
        if ended.is_rotation() {
            tracing::debug!(target: PLACEMENT, "Placement stream closed: {ended}. Reconnecting...");
        } else {
            match ended {
                Ended::Refused(_) | Ended::Closed => {
                    tracing::warn!(target: STREAM, "Error receiving from stream: {ended}");
                }
                _ => tracing::info!(target: STREAM, "Closing connection to placement: {ended}"),
            }
            tracing::info!(target: PLACEMENT, "Placement stream closed: {ended}. Reconnecting...");
        }
        self.lost().await;
        Some(self.rotation.ended(brought_orders))
    }

    /// Nothing is known any more of where actors live, so none may run here.
    async fn lost(&mut self) {
        self.dissemination.on(Event::Lost, Instant::now());
        self.shared.status.send_modify(|status| {
            status.connected = false;
            status.ready = false;
        });
        let limit = self.shared.hosted().drain;
        let leaving = self.shared.claims.lose();
        let drained = join_all(leaving.iter().map(|it| it.gate.drain(limit))).await;
        if !limit.is_zero() && drained.contains(&false) {
            tracing::error!(
                target: LOCK,
                "Timed out waiting for actor in-flight lock claims to be released, force cancelling remaining claims"
            );
        }
        if timeout(HALT, self.residents.halt(&Halt::All))
            .await
            .is_err()
        {
            tracing::error!(
                target: PLACEMENT,
                "Failed to halt all actors during placement disconnection: not done after {HALT:?}"
            );
        }
    }
}

/// One stream.
struct Session<'a> {
    client: &'a mut Client,
    out: mpsc::Sender<Host>,
    /// Carries out the last update.
    settling: Option<Settling>,
    brought_orders: bool,
}

impl Session<'_> {
    /// Ends when the stream does.
    async fn run(
        &mut self,
        mut server: PlacementClient<Channel>,
        unsent: mpsc::Receiver<Host>,
    ) -> Result<Infallible, Ended> {
        self.report(true)?;
        self.client
            .shared
            .status
            .send_modify(|it| it.connected = true);
        let opening = server.report_dapr_status(ReceiverStream::new(unsent));
        let opened = timeout(FIRST_SIGN, opening).await;
        let mut orders = opened.map_err(|_| Ended::Silent)??.into_inner();
        self.decide(Event::Opened)?;
        loop {
            let due = self.client.dissemination.deadline().map(sleep_until);
            tokio::select! {
                biased;
                Some(()) = OptionFuture::from(self.settling.as_mut()) => {
                    self.settling = None;
                    self.decide(Event::Settled)?;
                }
                Some(()) = OptionFuture::from(due) => self.decide(Event::Due)?,
                Ok(()) = self.client.hosted.changed() => self.report(false)?,
                order = orders.message() => {
                    let order = order?.ok_or(Ended::Closed)?;
                    self.brought_orders = true;
                    self.decide(Event::Order(order))?;
                }
            }
        }
    }

    fn decide(&mut self, event: Event) -> Result<(), Ended> {
        for effect in self.client.dissemination.on(event, Instant::now()) {
            match effect {
                Effect::Ack { operation, version } => self.send(operation, Some(version))?,
                Effect::Switch { tables, blocked } => {
                    let (shared, residents) = (&self.client.shared, &self.client.residents);
                    let settling = switch(shared, residents.clone(), tables, blocked);
                    self.settling = Some(Box::pin(settling));
                }
                Effect::Release { version, changed } => self.release(version, &changed),
                Effect::Close(closing) => {
                    if let Closing::Timeout(version) = closing {
                        tracing::warn!(
                            target: DISSEMINATOR,
                            "Dissemination timeout for version {version}, closing stream to reconnect"
                        );
                    }
                    return Err(closing.into());
                }
            }
        }
        Ok(())
    }

    fn release(&self, version: u64, changed: &BTreeSet<Arc<str>>) {
        let Settings {
            namespace, app_id, ..
        } = &self.client.settings;
        let types = list(changed.iter());
        tracing::info!(
            target: DISSEMINATOR,
            "Dissemination complete for version {version} (changed types {types}), unlocking disseminator {namespace}/{app_id}"
        );
        self.client.shared.claims.release();
        self.client.shared.status.send_modify(|status| {
            status.ready = true;
            status.rounds += 1;
        });
    }

    fn report(&mut self, first: bool) -> Result<(), Ended> {
        self.client.hosted.mark_unchanged();
        if first {
            let types = list(self.client.shared.hosted().types.keys());
            tracing::info!(
                target: PLACEMENT,
                "Reporting initial host to placement service with initial types {types}"
            );
        }
        self.send(HostOperation::Report, None)
    }

    /// A report says everything, an ack only who sends it.
    fn send(&self, operation: HostOperation, version: Option<u64>) -> Result<(), Ended> {
        let settings = &self.client.settings;
        let mut host = Host {
            id: settings.app_id.clone(),
            namespace: settings.namespace.clone(),
            operation: operation.into(),
            version,
            ..Host::default()
        };
        if operation == HostOperation::Report {
            #[allow(deprecated, reason = "every sidecar sends it")]
            {
                host.api_level = API_LEVEL;
            }
            host.name.clone_from(&settings.host);
            let types = self.client.shared.hosted();
            host.entities = types.types.keys().map(ToString::to_string).collect();
        }
        self.out.try_send(host).map_err(|_| Ended::Unread)
    }
}

/// Installs tables at once. Then comes the time to finish for who holds claims of the
/// blocked types, and the end of the actors that live elsewhere.
pub(super) fn switch(
    shared: &Shared,
    residents: Arc<dyn Residents>,
    tables: Arc<Tables>,
    blocked: BTreeSet<Arc<str>>,
) -> impl Future<Output = ()> + Send + 'static {
    let leaving = shared.claims.switch(&tables, &blocked);
    let hosted = shared.hosted();
    let moved = move |actor: &Actor| {
        blocked.contains(&actor.kind) && !tables.is_local(&actor.kind, &actor.id)
    };
    async move {
        join_all(leaving.iter().map(|it| drain(it, &hosted))).await;
        residents.halt(&Halt::Moved(Arc::new(moved))).await;
    }
}

/// Gives the calls of one type their time to finish.
async fn drain(leaving: &Leaving, hosted: &Hosted) {
    let Leaving { kind, gate } = leaving;
    let limit = hosted.types.get(kind).copied().unwrap_or(hosted.drain);
    if !gate.drain(limit).await && !limit.is_zero() {
        tracing::error!(
            target: LOCK,
            "Timed out waiting for actor type '{kind}' in-flight lock claims to be released for rebalanced types, force cancelling remaining claims"
        );
    }
}

/// As Go prints a list.
fn list<'a>(types: impl Iterator<Item = &'a Arc<str>>) -> String {
    let types: Vec<&str> = types.map(AsRef::as_ref).collect();
    format!("[{}]", types.join(" "))
}
