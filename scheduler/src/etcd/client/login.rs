//! The token that etcd gives for a user's password.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::metadata::AsciiMetadataValue;

/// A user, and the token that was last given for it; `Debug` shows neither.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
    token: Mutex<Token>,
    /// One caller asks, the others wait for what it gets: checking a password is
    /// slow by design.
    pub(super) asking: Semaphore,
}

/// What calls carry; an etcd without authentication gives none.
#[derive(Clone, Default)]
pub(super) struct Token {
    pub(super) value: Option<AsciiMetadataValue>,
    /// Counts the tokens there were; 0 when none was asked for yet.
    pub(super) number: u64,
}

impl Login {
    pub(super) fn new(user: String, password: String) -> Self {
        Self {
            user,
            password,
            token: Mutex::default(),
            asking: Semaphore::new(1),
        }
    }

    pub(super) fn token(&self) -> Token {
        self.token.lock().clone()
    }

    pub(super) fn keep(&self, value: Option<AsciiMetadataValue>) {
        let mut token = self.token.lock();
        token.value = value;
        token.number += 1;
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
