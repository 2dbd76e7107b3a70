//! Why a call of an actor failed, in upstream's words.

use tonic::{Code, Status};

use crate::call::Actor;

/// Types with this beginning belong to the workflow engine.
pub const RESERVED_PREFIX: &str = "dapr.internal.";

/// Why an operation on an actor failed.
///
/// `Display` is the bare text. [`Error::nested`] is the form inside another text.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The process is about to end.
    #[error("actor runtime is closed")]
    Closed,
    /// Actors are switched off.
    #[error("placement service is not configured")]
    NoPlacement,
    /// Nobody hosts the type.
    #[error("did not find address for actor '{}/{}'", .0.kind, .0.id)]
    NoAddress(Actor),
    #[error("app channel is not initialized")]
    NoAppChannel,
    /// The operation is for actors that are active here, and this one is not.
    #[error("actor instance is missing")]
    InstanceMissing,
    /// Reentrant calls nest deeper than the type allows.
    #[error("maximum stack depth exceeded")]
    StackDepth,
    /// The type, which starts with [`RESERVED_PREFIX`].
    #[error(
        "actor type \"{0}\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted"
    )]
    Reserved(String),
    /// The type of a timer is not hosted here.
    #[error("can't create timer for actor {0}: actor type not registered")]
    TypeNotRegistered(Actor),
    /// The instance was deactivated before the call had its turn.
    #[error("actor is closed, cannot handle {method}")]
    ActorClosed { method: String },
    /// The instance was deactivated while the call ran.
    #[error("context canceled")]
    Interrupted,
    /// The actor was moved while the call ran, and the time to finish was over.
    #[error("placement table updated")]
    Revoked,
    /// The app has no such method; the path as the app saw it.
    #[error("actor method not found: {0}")]
    MethodNotFound(String),
    /// The app failed. Over HTTP the text is `(<status>) <body>`.
    #[error("error from actor service: {text}")]
    App { status: Option<u16>, text: String },
    /// The app could not be reached; the text of its channel.
    #[error("{0}")]
    Unreachable(String),
    /// No callback stream is open.
    #[error("actor host is not connected")]
    HostNotConnected,
    /// The callback stream ended before the answer came.
    #[error("actor host disconnected before responding")]
    HostDisconnected,
    /// The callback stream answered with another kind; what was asked: `invoke` and so on.
    #[error("actor host returned an unexpected response type for {0}")]
    UnexpectedResponse(&'static str),
    /// The app cancels the reminder.
    #[error("reminder has been canceled")]
    ReminderCanceled,
    /// A call came from another sidecar, and the actor does not live here.
    #[error("remote actor moved")]
    Moved,
    /// The owner's sidecar answered this status.
    #[error("rpc error: code = {:?} desc = {}", .0.code(), .0.message())]
    Remote(Box<Status>),
    /// Every try at another sidecar failed.
    #[error("failed to invoke target {address} after {retries} retries. Error: {last}")]
    Retries {
        address: String,
        retries: u32,
        last: Box<Error>,
    },
    /// A policy of the user ended the call; its text.
    #[error("{0}")]
    Policy(String),
    /// The request makes no sense; the reason.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// The gRPC code, for the errors that have one: the API's own and those of other sidecars.
    pub fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Closed | Self::NoPlacement | Self::NoAppChannel => Code::Unavailable,
            Self::NoAddress(_) => Code::FailedPrecondition,
            Self::InstanceMissing => Code::Internal,
            Self::StackDepth => Code::ResourceExhausted,
            Self::Reserved(_) => Code::PermissionDenied,
            Self::Remote(status) => status.code(),
            Self::Retries { last, .. } => return last.code(),
            _ => return None,
        })
    }

    /// The form inside another text: an error of the API names its code there.
    pub fn nested(&self) -> String {
        match (self, self.code()) {
            (Self::Remote(_) | Self::Retries { .. }, _) | (_, None) => self.to_string(),
            (Self::NoAddress(_), Some(code)) => {
                format!("failed to lookup actor: api error: code = {code:?} desc = {self}")
            }
            (_, Some(code)) => format!("api error: code = {code:?} desc = {self}"),
        }
    }

    /// Whether the actor went away under the call, so that it may live elsewhere by now.
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::ActorClosed { .. } | Self::Interrupted | Self::Revoked
        )
    }

    /// Whether no later try can succeed.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::MethodNotFound(_))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Remote(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_upstreams_inside_others_too() {
        let actor = Actor::new("cat", "7");
        for (error, text, nested) in [
            (
                Error::Closed,
                "actor runtime is closed",
                "api error: code = Unavailable desc = actor runtime is closed",
            ),
            (
                Error::NoAddress(actor.clone()),
                "did not find address for actor 'cat/7'",
                "failed to lookup actor: api error: code = FailedPrecondition desc = did not find address for actor 'cat/7'",
            ),
            (
                Error::StackDepth,
                "maximum stack depth exceeded",
                "api error: code = ResourceExhausted desc = maximum stack depth exceeded",
            ),
            (
                Error::TypeNotRegistered(actor),
                "can't create timer for actor cat||7: actor type not registered",
                "can't create timer for actor cat||7: actor type not registered",
            ),
            (
                Error::from(Status::unavailable("gone")),
                "rpc error: code = Unavailable desc = gone",
                "rpc error: code = Unavailable desc = gone",
            ),
        ] {
            assert_eq!(
                (error.to_string().as_str(), &*error.nested()),
                (text, nested)
            );
        }
    }

    #[test]
    fn the_code_of_the_last_try_is_the_code_of_all() {
        let last = Box::new(Error::from(Status::unavailable("gone")));
        let address = "10.0.0.1:50002".to_owned();
        let error = Error::Retries {
            address,
            retries: 5,
            last,
        };
        assert_eq!(error.code(), Some(Code::Unavailable));
        assert_eq!(
            error.to_string(),
            "failed to invoke target 10.0.0.1:50002 after 5 retries. Error: rpc error: code = Unavailable desc = gone"
        );
    }
}
