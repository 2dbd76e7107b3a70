//! What is said to an actor, what it answers, and the app behind it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;

use crate::error::Error;

/// Marks an answer with status 200 as an error of the application; any value does.
pub const APP_ERROR_HEADER: &str = "x-daprerrorresponseheader";
/// An app that answers this with a truthy value wants no more fires of the reminder.
pub const REMINDER_CANCEL_HEADER: &str = "x-daprremindercancel";
/// Names the chain of calls that an invocation belongs to.
pub const REENTRANCY_HEADER: &str = "dapr-reentrancy-id";

/// One actor: its type and its id within the type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The actor type.
    pub kind: Arc<str>,
    pub id: Arc<str>,
}

impl Actor {
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        let (kind, id) = (kind.into(), id.into());
        Self { kind, id }
    }
}

/// `type||id`, as keys and texts have it.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}||{}", self.kind, self.id)
    }
}

/// A method call of an actor.
#[derive(Clone, Debug)]
pub struct Invoke {
    pub actor: Actor,
    /// The method, path-normalised, without a leading slash.
    pub method: String,
    /// The query string without its `?`; empty when there is none.
    pub query: String,
    /// What the app is told beside the body: the caller, the trace, the reentrancy id.
    pub headers: HeaderMap,
    /// Empty when the caller gave none.
    pub content_type: String,
    pub body: Bytes,
}

impl Invoke {
    /// A call without headers and body.
    pub fn new(actor: Actor, method: impl Into<String>) -> Self {
        Self {
            actor,
            method: method.into(),
            query: String::new(),
            headers: HeaderMap::new(),
            content_type: String::new(),
            body: Bytes::new(),
        }
    }
}

/// What an actor answered to an [`Invoke`] with status 200.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub headers: HeaderMap,
    /// Empty when the app gave none.
    pub content_type: String,
    pub body: Bytes,
}

impl Reply {
    /// Whether the app marked the answer as its own error. It travels unchanged all the same.
    pub fn is_app_error(&self) -> bool {
        self.headers.contains_key(APP_ERROR_HEADER)
    }
}

/// Whether the headers of an answer hold the signal to cancel a reminder.
pub fn cancels(headers: &HeaderMap) -> bool {
    let value = headers.get(REMINDER_CANCEL_HEADER);
    value
        .and_then(|v| v.to_str().ok())
        .is_some_and(service::flags::truthy)
}

/// A reminder or a timer that is due.
#[derive(Clone, Debug)]
pub struct Fire {
    pub actor: Actor,
    /// Name of the reminder or the timer.
    pub name: String,
    pub data: Option<Data>,
    /// As given at creation; empty for reminders that the scheduler fires.
    pub due_time: String,
    /// As `due_time`.
    pub period: String,
    /// The method that a timer names for the app; a timer's only.
    pub callback: String,
    pub is_timer: bool,
    /// Does not wait for the actor's turn.
    pub skip_lock: bool,
}

/// The fields of a `google.protobuf.Any`, not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub type_url: String,
    pub value: Bytes,
}

/// How the app took a reminder or a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    Done,
    /// The app handled it and wants no more of it.
    Canceled,
}

/// The app that has the code of actors: `/actors/...` over HTTP, the callback stream, or
/// a part of the sidecar itself.
///
/// None of these has a deadline of its own. Dropping the future abandons the call.
#[async_trait]
pub trait App: Send + Sync {
    /// Calls a method. Only what HTTP calls 200 is a reply.
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error>;

    /// Delivers a reminder.
    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error>;

    /// Delivers a timer.
    async fn timer(&self, fire: &Fire) -> Result<Fired, Error>;

    /// Says that the sidecar has let go of an actor.
    async fn deactivate(&self, actor: &Actor) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_signal_to_cancel_has_any_truthy_value() {
        for (value, expected) in [
            ("true", true),
            ("1", true),
            ("Yes", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REMINDER_CANCEL_HEADER, HeaderValue::from_static(value));
            assert_eq!(cancels(&headers), expected, "{value:?}");
        }
        assert!(!cancels(&HeaderMap::new()));
    }

    #[test]
    fn any_value_of_its_header_makes_an_answer_an_error_of_the_app() {
        let mut reply = Reply::default();
        assert!(!reply.is_app_error());
        let empty = HeaderValue::from_static("");
        reply.headers.insert("X-Daprerrorresponseheader", empty);
        assert!(reply.is_app_error());
    }
}
