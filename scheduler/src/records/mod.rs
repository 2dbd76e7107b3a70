//! What is stored, byte for byte as upstream stores it.

// Generated code is not ours to tidy.
#![allow(clippy::large_enum_variant, clippy::doc_markdown)]

mod job;
pub(crate) mod target;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub(crate) use job::{Refused, accept, check_key, show, show_named};

/// A job as whoever scheduled it wrote it: package `api`.
pub mod api {
    tonic::include_proto!("api");
}

/// Jobs and counters: package `stored`.
pub mod stored {
    tonic::include_proto!("stored");
}

/// Schedulers that share the jobs: package `cron.stored`.
pub mod cron {
    pub mod stored {
        tonic::include_proto!("cron.stored");
    }
}

/// A moment as it is stored.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// A stored moment; one that no calendar has is the last one.
pub(crate) fn instant(stored: &prost_types::Timestamp) -> Timestamp {
    Timestamp::new(stored.seconds, stored.nanos).unwrap_or(Timestamp::MAX)
}

/// A stored duration.
pub(crate) fn duration(stored: &prost_types::Duration) -> SignedDuration {
    let seconds = SignedDuration::from_secs(stored.seconds);
    seconds.saturating_add(SignedDuration::from_nanos(i64::from(stored.nanos)))
}
