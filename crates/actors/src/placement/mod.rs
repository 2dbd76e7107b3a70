//! Which sidecar hosts which actors: the stream of Placement, its tables, and claims.

mod claims;
mod client;
mod connect;
mod dissemination;
mod gate;
mod ring;
mod tables;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use security::Security;
use service::Tasks;
use tokio::sync::watch;

pub use claims::{Claim, Owner};
pub use ring::Peer;

use self::claims::Claims;
use self::client::Client;
use crate::call::Actor;
use crate::error::Error;

const DISSEMINATOR: &str = "dapr.runtime.actors.placement.loops.disseminator";

/// Where Placement is, and as whom this sidecar reports to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Servers as `host:port`; with none, actors are switched off.
    pub addresses: Vec<String>,
    /// Only the first address counts, and its name is resolved at each connect.
    pub kubernetes: bool,
    pub app_id: String,
    pub namespace: String,
    /// Where other sidecars reach this one: `host:port`.
    pub host: String,
    /// How long a dissemination may take from lock to update.
    pub disseminate_timeout: Duration,
}

/// What placement tells whoever keeps the actors of this sidecar.
#[async_trait]
pub trait Residents: Send + Sync {
    /// Deactivates actors; done when none of them runs any more. A deactivation that began
    /// is finished even if the future is dropped.
    async fn halt(&self, which: &Halt);
}

/// Which actors are to be deactivated.
#[derive(Clone)]
pub enum Halt {
    All,
    /// Those of these types.
    Types(BTreeSet<Arc<str>>),
    /// Those that the predicate names: they live in another sidecar now.
    Moved(Arc<dyn Fn(&Actor) -> bool + Send + Sync>),
}

impl Halt {
    /// Whether an actor is one of them.
    pub fn includes(&self, actor: &Actor) -> bool {
        match self {
            Self::All => true,
            Self::Types(types) => types.contains(&actor.kind),
            Self::Moved(moved) => moved(actor),
        }
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Types(types) => f.debug_tuple("Types").field(types).finish(),
            Self::Moved(_) => f.write_str("Moved"),
        }
    }
}

/// The actor types that this sidecar hosts. For each, and for all together when the
/// stream is lost: how long calls may take to end when actors have to go. Zero
/// cancels them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted {
    pub types: BTreeMap<Arc<str>, Duration>,
    pub drain: Duration,
}

/// What is known of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub connected: bool,
    /// Whether this stream has brought tables that hold everywhere.
    pub ready: bool,
    /// How many disseminations are complete, over all streams.
    pub rounds: u64,
}

/// The placement of actors; clones are the same.
#[derive(Clone, Debug)]
pub struct Placement {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    disabled: bool,
    claims: Claims,
    hosted: watch::Sender<Option<Arc<Hosted>>>,
    status: watch::Sender<Status>,
}

impl Shared {
    /// What was reported last.
    fn hosted(&self) -> Arc<Hosted> {
        self.hosted.borrow().clone().unwrap_or_default()
    }
}

impl Placement {
    /// Starts the task that keeps a stream to Placement from the first
    /// [`Placement::report`] on.
    pub fn start(
        settings: Settings,
        security: &Security,
        residents: Arc<dyn Residents>,
        tasks: &Tasks,
    ) -> Self {
        let disabled = settings.addresses.is_empty();
        let shared = Arc::new(Shared {
            disabled,
            ..Shared::default()
        });
        if !disabled {
            let client = Client::new(settings, security, residents, shared.clone());
            tasks.spawn("placement", client.run(tasks.token()));
        }
        Self { shared }
    }

    /// Says what this sidecar hosts, which may be nothing.
    pub fn report(&self, hosted: Hosted) {
        self.shared.hosted.send_replace(Some(Arc::new(hosted)));
    }

    /// Who has an actor. Waits while there are no tables and while the type is being
    /// moved, as long as the caller does. [`Error::NoAddress`] when nobody hosts the type.
    pub async fn lookup(&self, actor: &Actor) -> Result<Claim, Error> {
        if self.shared.disabled {
            return Err(Error::NoPlacement);
        }
        self.shared.claims.lookup(actor).await
    }

    /// Which tables there are now; newer ones have a higher number.
    pub fn generation(&self) -> u64 {
        self.shared.claims.generation()
    }

    /// Waits until the tables are others than those of `generation`.
    pub async fn changed_since(&self, generation: u64) {
        self.shared.claims.changed_since(generation).await;
    }

    /// Withdraws everything, and waits until the other sidecars know and no claim of a
    /// local actor is left; at once while there is no stream. For a sidecar that ends: its
    /// actors go to others, and no call of theirs fails.
    pub async fn leave(&self) {
        let hosted = self.shared.hosted();
        // With the types goes what each allows to the calls that are under way.
        let longest = hosted.types.values().copied().chain([hosted.drain]).max();
        self.report(Hosted {
            types: BTreeMap::new(),
            drain: longest.unwrap_or_default(),
        });
        self.shared.claims.nothing_local().await;
    }

    /// What is known of the stream, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }
}
