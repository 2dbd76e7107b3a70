//! The sidecar's part of a dissemination: lock, update, unlock, as a pure state machine.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto::dapr::placement::v1::{HostOperation, PlacementOrder, PlacementTables};
use tokio::time::Instant;

use super::tables::{Own, Tables, TooLarge};

/// Orders that may wait while actors are drained; a server that obeys sends two.
const MOST_WAITING: usize = 64;

/// What happened to the stream.
#[derive(Debug)]
pub(crate) enum Event {
    Opened,
    Order(PlacementOrder),
    /// What [`Effect::Switch`] asks for is done.
    Settled,
    /// The time of [`Dissemination::deadline`] has come.
    Due,
    Lost,
}

/// What is to be done, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    Ack {
        operation: HostOperation,
        version: u64,
    },
    /// Install the tables, drain the claims of the blocked types and halt the actors
    /// that live elsewhere now; then [`Event::Settled`].
    Switch {
        tables: Arc<Tables>,
        blocked: BTreeSet<Arc<str>>,
    },
    /// Let the blocked types go: every sidecar has the same tables.
    Release {
        version: u64,
        changed: BTreeSet<Arc<str>>,
    },
    /// Give the stream up.
    Close(Closing),
}

/// Why this sidecar gives the stream up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closing {
    #[error("no tables within the dissemination timeout for version {0}")]
    Timeout(u64),
    #[error("the tables of version {order} are older than the lock of version {lock}")]
    Stale { lock: u64, order: u64 },
    #[error("unknown operation {0:?}")]
    Operation(String),
    #[error("the version of the tables is no number")]
    Version,
    #[error("more than {MOST_WAITING} orders wait")]
    Flood,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The state of one stream after the other; the tables outlive the streams.
#[derive(Debug)]
pub(crate) struct Dissemination {
    own: Own,
    /// From lock to update.
    limit: Duration,
    tables: Arc<Tables>,
    stream: Option<Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Of the last lock.
    version: u64,
    deadline: Option<Instant>,
    /// Whether an update came after the last lock and unlock.
    updated: bool,
    /// Whether the stream has had its first tables.
    informed: bool,
    /// Types that changed since the last unlock.
    blocked: BTreeSet<Arc<str>>,
    /// The last update, while it is being carried out.
    settling: bool,
    waiting: VecDeque<PlacementOrder>,
}

impl Dissemination {
    pub(crate) fn new(own: Own, limit: Duration) -> Self {
        Self {
            own,
            limit,
            tables: Arc::default(),
            stream: None,
        }
    }

    /// When [`Event::Due`] is expected.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.stream.as_ref()?.deadline
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Opened => self.stream = Some(Stream::default()),
            // What was blocked was blocked by this stream, and nobody would release it.
            Event::Lost => self.stream = None,
            event => {
                if let Err(closing) = self.follow(event, now, &mut effects) {
                    self.stream = None;
                    effects.push(Effect::Close(closing));
                }
            }
        }
        effects
    }

    fn follow(
        &mut self,
        event: Event,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Closing> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        match event {
            Event::Due if stream.deadline.is_some_and(|at| at <= now) => {
                return Err(Closing::Timeout(stream.version));
            }
            Event::Order(_) if stream.waiting.len() >= MOST_WAITING => return Err(Closing::Flood),
            Event::Order(order) => stream.waiting.push_back(order),
            Event::Settled if stream.settling => {
                stream.settling = false;
                effects.push(Effect::Ack {
                    operation: HostOperation::Update,
                    version: stream.version,
                });
            }
            _ => {}
        }
        while let Some(stream) = &mut self.stream
            && !stream.settling
            && let Some(order) = stream.waiting.pop_front()
        {
            self.obey(order, now, effects)?;
        }
        Ok(())
    }

    fn obey(
        &mut self,
        mut order: PlacementOrder,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Closing> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let tables = order.tables.take().unwrap_or_default();
        let version = version(order.version, &tables)?;
        match order.operation.as_str() {
            "lock" => {
                stream.version = version;
                stream.deadline = Some(now + self.limit);
                stream.updated = false;
                let operation = HostOperation::Lock;
                effects.push(Effect::Ack { operation, version });
            }
            "update" if version < stream.version => {
                let (lock, order) = (stream.version, version);
                return Err(Closing::Stale { lock, order });
            }
            "update" => {
                stream.deadline = None;
                stream.updated = true;
                let (tables, changed) = self.tables.next(tables, &self.own)?;
                stream.blocked.extend(changed);
                if !stream.informed {
                    // While there was no stream, actors of this sidecar may have come to
                    // live elsewhere and still do, even if the tables are the old ones.
                    stream.blocked.extend(tables.hosted_here().cloned());
                }
                stream.informed = true;
                stream.settling = true;
                self.tables = Arc::new(tables);
                effects.push(Effect::Switch {
                    tables: self.tables.clone(),
                    blocked: stream.blocked.clone(),
                });
            }
            "unlock" if !stream.updated => tracing::warn!(
                target: super::DISSEMINATOR,
                "Invalid operation sequence: expected UPDATE before UNLOCK, ignoring unlock"
            ),
            "unlock" if version < stream.version => tracing::error!(
                target: super::DISSEMINATOR,
                "Version mismatch: expected {}, got {version}, ignoring unlock",
                stream.version
            ),
            "unlock" => {
                stream.updated = false;
                let changed = std::mem::take(&mut stream.blocked);
                effects.push(Effect::Release { version, changed });
                let operation = HostOperation::Unlock;
                effects.push(Effect::Ack { operation, version });
            }
            _ => return Err(Closing::Operation(order.operation)),
        }
        Ok(())
    }
}

/// Servers from before 1.17 have the number in the tables only.
fn version(version: u64, tables: &PlacementTables) -> Result<u64, Closing> {
    #[allow(deprecated, reason = "as long as such servers exist")]
    let text = tables.version.as_str();
    if version > 0 || text.is_empty() {
        return Ok(version);
    }
    text.parse().map_err(|_| Closing::Version)
}

#[cfg(test)]
#[path = "dissemination_tests.rs"]
mod tests;
