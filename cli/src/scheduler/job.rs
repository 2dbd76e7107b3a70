//! A job as it is shown, read from what the scheduler keeps.

use anyhow::{Context, Result};
use jiff::Timestamp;
use prost::Message;
use proto::dapr::scheduler::v1::JobMetadata;
use serde::{Serialize, Serializer};

use super::{
    key::{Kind, Named},
    store::Entry,
    wire::stored::{self, job::Begin},
};

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    #[serde(skip)]
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    /// As a user writes it, `app/orders/nightly`.
    pub(crate) name: String,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub(crate) begin: Option<Timestamp>,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<u32>,
    /// How often it was triggered and that is over.
    pub(crate) count: u32,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub(crate) last_trigger: Option<Timestamp>,
}

impl Job {
    /// Reads a job; the error says what is wrong with the values.
    pub(crate) fn read(entry: &Entry) -> Result<Self> {
        let job = stored::Job::decode(&*entry.job)?;
        let counter = entry.counter.as_deref().map(stored::Counter::decode);
        let counter = counter
            .transpose()?
            // That of an earlier job with this name.
            .filter(|counter| counter.job_partition_id == job.partition_id)
            .unwrap_or_default();
        let asked = job.job.context("it is empty")?;
        let metadata = asked.metadata.context("it does not say whose it is")?;
        let metadata = JobMetadata::decode(&*metadata.value)?;
        let named = Named::new(&entry.name, &metadata).context("its name is that of another")?;
        Ok(Self {
            kind: named.kind,
            namespace: named.namespace,
            name: named.name,
            begin: match job.begin {
                Some(Begin::Start(at) | Begin::DueTime(at)) => Some(timestamp(at)?),
                None => None,
            },
            expiration: job.expiration.map(timestamp).transpose()?,
            schedule: asked.schedule,
            due_time: asked.due_time,
            ttl: asked.ttl,
            repeats: asked.repeats,
            count: counter.count,
            last_trigger: counter.last_trigger.map(timestamp).transpose()?,
        })
    }
}

fn timestamp(at: prost_types::Timestamp) -> Result<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).context("a time is out of range")
}

#[allow(clippy::ref_option, reason = "serde hands it over so")]
fn moment<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => to.collect_str(at),
        None => to.serialize_none(),
    }
}

/// How long until a moment or since it, in few characters: `+50.0h`, `-3.89s`.
pub(crate) fn distance(at: Timestamp, now: Timestamp) -> String {
    let nanos = at.as_nanosecond() - now.as_nanosecond();
    let sign = if nanos < 0 { '-' } else { '+' };
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let seconds = nanos.unsigned_abs() as f64 / 1e9;
    match seconds {
        ..1e-3 => format!("{sign}{:.1}µs", seconds * 1e6),
        ..1.0 => format!("{sign}{:.1}ms", seconds * 1e3),
        ..60.0 => format!("{sign}{seconds:.2}s"),
        ..3600.0 => format!("{sign}{:.1}m", seconds / 60.0),
        _ => format!("{sign}{:.1}h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_short() {
        let check = |millis: i64, expected: &str| {
            let at = |millis| Timestamp::from_millisecond(millis).expect("in range");
            assert_eq!(distance(at(1_000_000 + millis), at(1_000_000)), expected);
        };
        check(0, "+0.0µs");
        check(-3_890, "-3.89s");
        check(-888, "-888.0ms");
        check(90_000, "+1.5m");
        check(180_000_000, "+50.0h");
        check(-3_600_000, "-1.0h");
    }
}
