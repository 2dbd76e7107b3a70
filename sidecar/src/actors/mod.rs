//! Actors: calls of their methods, their state, timers and reminders, and hosting
//! those of this sidecar's app.

mod app;
pub(crate) mod grpc;
mod hosting;
pub(crate) mod http;
mod import;
mod lifecycle;
mod metrics;
mod names;
mod peers;
mod reminders;
mod state;
mod subscribe;
mod timers;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use actors::Error;
use actors::call::{Actor, App as Hosting, Data, Invoke, Reply};
use actors::error::RESERVED_PREFIX;
use actors::host::Host;
use actors::placement::Placement;
use actors::router::Router;
use actors::timers::Timers;
use bytes::Bytes;
use prost::Message;
use proto::dapr::runtime::v1 as rt;
use service::Tasks;

use self::app::Streams;
pub(crate) use self::lifecycle::Parts;
pub(crate) use self::metrics::ActorMetrics;
pub(crate) use self::subscribe::Events;
use crate::app::App;
use crate::scheduler;
use crate::state::State;

const CALLER: [HeaderName; 2] = [
    HeaderName::from_static("dapr-caller-app-id"),
    HeaderName::from_static("dapr-caller-namespace"),
];
const API_CALL: HeaderName = HeaderName::from_static("dapr-api-call");

/// The actors that this sidecar knows; clones are the same.
#[derive(Clone)]
pub(crate) struct Actors {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    /// What the app is told of its caller.
    caller: [HeaderValue; 2],
    state: State,
    /// Whether rows of the state may have a lifetime.
    state_ttl: bool,
    scheduler: scheduler::Client,
    /// `None` while there is no Placement.
    runtime: Option<Runtime>,
}

struct Runtime {
    app: App,
    host: Host,
    hosting: Arc<hosting::Hosting>,
    placement: Placement,
    router: Router,
    timers: Timers,
    /// What the app hosts over HTTP.
    http: Arc<dyn Hosting>,
    streams: Streams,
    disseminate_timeout: Duration,
    /// What ends first, when the sidecar leaves the others.
    leaving: Tasks,
    tasks: Tasks,
}

impl Actors {
    /// Calls a method of an actor, wherever it lives.
    pub(crate) async fn invoke(&self, mut call: Invoke) -> Result<Reply, Error> {
        let runtime = self.ready().await?;
        self.stamp(&mut call.headers);
        runtime.unless_ended(runtime.router.invoke(&call)).await?
    }

    /// Who calls is what this sidecar says, whatever the caller has put there.
    fn stamp(&self, headers: &mut HeaderMap) {
        for (name, value) in CALLER.into_iter().zip(&self.inner.caller) {
            headers.insert(name, value.clone());
        }
        headers.insert(API_CALL, HeaderValue::from_static("true"));
    }

    /// Types of the runtime's own are not for the API.
    fn unreserved(&self, kind: &str) -> Result<(), Error> {
        match kind.starts_with(RESERVED_PREFIX) {
            true => Err(Error::Reserved(kind.to_owned())),
            false => Ok(()),
        }
    }

    fn admits(&self, actor: &Actor) -> Result<(), Error> {
        self.unreserved(&actor.kind)
    }

    /// Waits until the app has said what it hosts, as long as the caller does.
    async fn ready(&self) -> Result<&Runtime, Error> {
        let runtime = self.inner.runtime.as_ref().ok_or(Error::NoPlacement)?;
        if !runtime.hosting.is_registered() {
            runtime.unless_ended(runtime.hosting.registered()).await?;
        }
        Ok(runtime)
    }

    /// What the metadata API shows.
    pub(crate) fn shown(&self) -> rt::ActorRuntime {
        use rt::actor_runtime::ActorRuntimeStatus as Status;
        let Some(runtime) = &self.inner.runtime else {
            return rt::ActorRuntime {
                runtime_status: Status::Disabled.into(),
                placement: "placement: disconnected".into(),
                ..Default::default()
            };
        };
        if !runtime.hosting.is_registered() {
            return rt::ActorRuntime {
                runtime_status: Status::Initializing.into(),
                ..Default::default()
            };
        }
        let placed = *runtime.placement.status().borrow();
        let counts = runtime.host.active_counts().into_iter();
        let counts = counts.map(|(kind, count)| rt::ActiveActorsCount {
            r#type: kind.to_string(),
            count: i32::try_from(count).unwrap_or(i32::MAX),
        });
        rt::ActorRuntime {
            runtime_status: Status::Running.into(),
            active_actors: counts.collect(),
            host_ready: placed.ready,
            placement: match placed.connected {
                true => "placement: connected".into(),
                false => "placement: disconnected".into(),
            },
        }
    }
}

impl Runtime {
    /// Waits until it is known where the actor lives. One that is active here may be
    /// in the middle of a turn, which must be able to end while its type is being
    /// moved.
    async fn settled(&self, actor: &Actor) -> Result<(), Error> {
        if self.host.active(actor) {
            return Ok(());
        }
        // Nobody hosts it: then nobody moves it.
        let looked_up = self.unless_ended(self.placement.lookup(actor)).await;
        looked_up.map(|_| ())
    }

    /// Calls that wait for something do not outlive the actors.
    async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let ended = self.tasks.token();
        ended.run_until_cancelled(work).await.ok_or(Error::Closed)
    }
}

/// JSON as timers and reminders carry it: the bytes of a `BytesValue`.
fn bytes_value(json: &Bytes) -> Data {
    Data {
        type_url: "type.googleapis.com/google.protobuf.BytesValue".into(),
        value: json.encode_to_vec().into(),
    }
}
