//! What rounds are told, and what they ask for.

use std::fmt;

use super::Report;

/// A stream, numbered in the order of their coming within the process.
pub(crate) type StreamId = u64;

/// Where a round, or a stream in it, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Idle: only reports are expected.
    Report,
    Lock,
    Update,
    Unlock,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Report => "REPORT",
            Self::Lock => "LOCK",
            Self::Update => "UPDATE",
            Self::Unlock => "UNLOCK",
        })
    }
}

/// What happens to a namespace.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A stream said who it is.
    Joined(StreamId, Report),
    Said(StreamId, Message),
    Left(StreamId),
}

/// What a known stream says.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) version: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Report(Report),
    Ack(Phase),
    /// Of peers before 1.17: it counts for whatever is expected.
    Unknown(Report),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The same order for all of these streams.
    Send { to: Vec<StreamId>, order: Order },
    /// The end of a stream that did not answer in time.
    Close { stream: StreamId, silence: Silence },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) operation: Phase,
    pub(crate) version: u64,
}

/// What a closed stream had acknowledged, and what it had not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) version: u64,
    pub(crate) state: Phase,
    pub(crate) expected: Phase,
}
