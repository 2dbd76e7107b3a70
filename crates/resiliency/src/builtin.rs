//! The retry policies that exist without any resource.

use std::time::Duration;

use crate::backoff::{Schedule, Shape};
use crate::retry::{Matching, Retry};

/// A built-in retry policy. A resource overrides it by giving its name to a
/// retry policy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Calls to apps that no resource names.
    ServiceRetries,
    /// Workflow operations that call the actor engine.
    ActorRetries,
    /// A name that users may override; nothing uses it.
    ActorReminderRetries,
    /// Opening components, asking the app for its subscriptions.
    InitializationRetries,
    /// Looking for the host of an actor; it cannot be overridden.
    ActorNotFoundRetries,
}

impl Builtin {
    pub(crate) const ALL: [Self; 5] = [
        Self::ServiceRetries,
        Self::ActorRetries,
        Self::ActorReminderRetries,
        Self::InitializationRetries,
        Self::ActorNotFoundRetries,
    ];

    /// The name in resources and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceRetries => "DaprBuiltInServiceRetries",
            Self::ActorRetries => "DaprBuiltInActorRetries",
            Self::ActorReminderRetries => "DaprBuiltInActorReminderRetries",
            Self::InitializationRetries => "DaprBuiltInInitializationRetries",
            Self::ActorNotFoundRetries => "DaprBuiltInActorNotFoundRetries",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    pub(crate) fn is_protected(self) -> bool {
        self == Self::ActorNotFoundRetries
    }

    pub(crate) fn retry(self) -> Retry {
        let constant = Shape::Constant(Duration::from_secs(1));
        let exponential = |max_interval, max_elapsed| Shape::Exponential {
            max_interval: Duration::from_secs(max_interval),
            max_elapsed: Duration::from_secs(max_elapsed),
        };
        let (shape, max_retries) = match self {
            Self::ServiceRetries | Self::ActorRetries => (constant, 3),
            Self::ActorReminderRetries => (exponential(60, 15 * 60), 0),
            Self::InitializationRetries => (exponential(1, 10), 3),
            Self::ActorNotFoundRetries => (constant, 5),
        };
        Retry {
            schedule: Schedule {
                shape,
                max_retries: Some(max_retries),
            },
            matching: Matching::default(),
        }
    }
}
