//! What an app says of the actors that it hosts.

mod config;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use config::Error;

const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
const DRAIN: Duration = Duration::from_secs(2);

/// How actors of one type are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSettings {
    /// An actor whose latest turn began longer ago is deactivated.
    pub idle_timeout: Duration,
    /// How long calls under way may go on when the type is moved.
    pub drain_ongoing: Duration,
    /// Whether they may go on at all.
    pub drain_rebalanced: bool,
    /// The most calls of one chain that are under way in an actor; `None` lets no call
    /// reenter.
    pub reentrancy: Option<u32>,
}

impl Default for TypeSettings {
    fn default() -> Self {
        Self {
            idle_timeout: IDLE_TIMEOUT,
            drain_ongoing: DRAIN,
            drain_rebalanced: true,
            reentrancy: None,
        }
    }
}

impl TypeSettings {
    /// How long calls get to end when the type is moved; zero ends them at once.
    pub fn drain(&self) -> Duration {
        match self.drain_rebalanced {
            true => self.drain_ongoing,
            false => Duration::ZERO,
        }
    }
}

/// Actor types that are hosted by one app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    pub types: BTreeMap<Arc<str>, TypeSettings>,
    /// How long calls of all types together get to end when the stream to Placement is
    /// lost; `None` leaves it as it is.
    pub drain: Option<Duration>,
}
