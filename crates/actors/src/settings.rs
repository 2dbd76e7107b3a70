//! What an app says of the actors that it hosts.

use std::time::Duration;

/// How actors of one type are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSettings {
    /// An actor whose latest turn began longer ago is deactivated.
    pub idle_timeout: Duration,
    /// How long calls under way may go on when the type is moved.
    pub drain_ongoing: Duration,
    /// Whether they may go on at all.
    pub drain_rebalanced: bool,
    /// The deepest stack of reentrant calls; `None` lets no call reenter.
    pub reentrancy: Option<u32>,
}

impl Default for TypeSettings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(60 * 60),
            drain_ongoing: Duration::from_secs(2),
            drain_rebalanced: true,
            reentrancy: None,
        }
    }
}
