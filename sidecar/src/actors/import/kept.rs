//! A reminder as older versions keep it in the state store, and the job that it becomes.

#[cfg(test)]
mod tests;

use actors::call::Actor;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use proto::dapr::internals::v1 as pb;
use proto::dapr::scheduler::v1 as wire;
use schedule::Period;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::bytes_value;

/// What a document begins with that is not JSON but protobuf, as later versions write it
/// once all sidecars of the installation can read it.
const PROTOBUF: &[u8] = b"\0pb";
/// What fires only once more and is overdue waits so long: sidecars that import the same
/// documents at the same time shall find the job, rather than find it done and make it anew.
const LATE: SignedDuration = SignedDuration::from_secs(5);

/// How many documents keep the reminders of a type, as its row `metadata` says.
#[derive(Debug, Deserialize)]
pub(super) struct Layout {
    pub(super) id: String,
    #[serde(rename = "actorRemindersMetadata")]
    reminders: Partitions,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Partitions {
    partition_count: u32,
}

impl Layout {
    /// 0 while the reminders have not been parted.
    pub(super) fn partitions(&self) -> u32 {
        self.reminders.partition_count
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Reminder {
    pub(super) actor: Actor,
    pub(super) name: String,
    data: Option<prost_types::Any>,
    period: String,
    /// When it is to fire first. The first versions wrote when it was made; nothing tells
    /// the two apart, and all later versions read it so.
    registered: Timestamp,
    expires: Option<Timestamp>,
}

/// The record of the last time that a reminder fired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fired {
    at: Timestamp,
    /// `None` without a limit.
    left: Option<u32>,
}

/// A reminder in a document of JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "actorID")]
    actor_id: String,
    #[serde(default)]
    actor_type: String,
    name: String,
    /// `null` is data as well: versions that knew no absence wrote it.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    period: Value,
    #[serde(default)]
    due_time: String,
    #[serde(default)]
    registered_time: String,
    #[serde(default)]
    expiration_time: String,
}

fn present<'de, D: Deserializer<'de>>(data: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(data).map(Some)
}

/// The reminders of a document. One that cannot be read leaves the others as they are.
pub(super) fn read(document: &[u8], kind: &str) -> Result<Vec<Result<Reminder, String>>, String> {
    if let Some(message) = document.strip_prefix(PROTOBUF) {
        let all = pb::Reminders::decode(message).map_err(|e| e.to_string())?;
        let all = all.reminders.into_iter();
        return Ok(all.map(|kept| Reminder::new(kept, kind)).collect());
    }
    // Without any reminder a document may be `null`.
    let all: Option<Vec<&RawValue>> =
        serde_json::from_slice(document).map_err(|e| e.to_string())?;
    let all = all.unwrap_or_default().into_iter();
    Ok(all
        .map(|text| Reminder::new(written_in_json(text)?, kind))
        .collect())
}

fn written_in_json(text: &RawValue) -> Result<pb::Reminder, String> {
    let written: Written<'_> = serde_json::from_str(text.get()).map_err(|e| e.to_string())?;
    let name = written.name;
    let period = match written.period {
        Value::String(period) => period,
        // Some versions wrote an absent period in ways of their own.
        Value::Null => String::new(),
        Value::Array(period) if period.is_empty() => String::new(),
        Value::Object(period) if period.is_empty() => String::new(),
        other => return Err(format!("{name}: the period {other} is not a text")),
    };
    let moment = |field: &str, text: &str| match text {
        "" => Ok(None),
        text => match text.parse::<Timestamp>() {
            Ok(moment) => Ok(Some(prost_types::Timestamp {
                seconds: moment.as_second(),
                nanos: moment.subsec_nanosecond(),
            })),
            Err(e) => Err(format!("{name}: {field}: {e}")),
        },
    };
    let data = written.data.map(|json| {
        let data = bytes_value(&Bytes::copy_from_slice(json.get().as_bytes()));
        prost_types::Any {
            type_url: data.type_url,
            value: data.value.into(),
        }
    });
    Ok(pb::Reminder {
        actor_id: written.actor_id,
        actor_type: written.actor_type,
        data,
        period,
        registered_time: moment("registeredTime", &written.registered_time)?,
        due_time: written.due_time,
        expiration_time: moment("expirationTime", &written.expiration_time)?,
        name,
        ..pb::Reminder::default()
    })
}

impl Reminder {
    fn new(kept: pb::Reminder, kind: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{}: {why}", kept.name);
        let moment = |time: Option<prost_types::Timestamp>| {
            let moment = time.map(|time| Timestamp::new(time.seconds, time.nanos));
            moment.transpose().map_err(|e| wrong(&e.to_string()))
        };
        if !kept.actor_type.is_empty() && kept.actor_type != kind {
            return Err(wrong(&format!("it is of actor type {}", kept.actor_type)));
        }
        let registered = moment(kept.registered_time)?.or_else(|| kept.due_time.parse().ok());
        Ok(Self {
            registered: registered.ok_or_else(|| wrong("registeredTime is missing"))?,
            expires: moment(kept.expiration_time)?,
            actor: Actor::new(kind, kept.actor_id),
            name: kept.name,
            data: kept.data,
            period: kept.period,
        })
    }
}

impl Fired {
    /// `None` for a row that is no such record, as with upstream.
    pub(super) fn read(row: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Track {
            last_fired_time: String,
            repetition_left: Option<i64>,
        }
        let track: Track = serde_json::from_slice(row).ok()?;
        Some(Self {
            at: track.last_fired_time.parse().ok()?,
            left: track
                .repetition_left
                .and_then(|left| u32::try_from(left).ok()),
        })
    }
}

impl Reminder {
    /// The key of the record of its last time.
    pub(super) fn track(&self) -> String {
        format!("{}||{}", self.actor, self.name)
    }

    /// The job that fires what is left of it; `None` when nothing is. Times that have been
    /// missed come as one, at once, and the next one when it would have come anyway.
    pub(super) fn job(
        &self,
        fired: Option<Fired>,
        now: Timestamp,
    ) -> Result<Option<wire::Job>, String> {
        let period = match self.period.as_str() {
            "" => Period::default(),
            text => Period::parse(text).map_err(|e| e.to_string())?,
        };
        let every = period.every().ok_or_else(|| {
            let text = &self.period;
            format!(
                "the period {text} has years, months or days, which the scheduler does not count"
            )
        })?;
        if period.duration.is_negative() {
            return Err(format!("the period {} is negative", self.period));
        }
        let schedule = (!period.duration.is_zero()).then_some(every);
        // A record from before is of an earlier reminder of this name: a sidecar that ended
        // between the two rows has left it there. Records may be of whole seconds.
        let fired = fired.filter(|f| f.at.as_second() >= self.registered.as_second());
        let of_period = period
            .repeats
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0);
        let left = fired.and_then(|f| f.left).or(of_period);
        if left == Some(0) || (fired.is_some() && schedule.is_none()) {
            return Ok(None);
        }
        let next = fired.map_or(self.registered, |f| period.after(f.at));
        if self.expires.is_some_and(|end| end <= next.max(now)) {
            return Ok(None);
        }
        let due = if next > now {
            next
        } else if schedule.is_none() || left == Some(1) {
            let late = now.checked_add(LATE).unwrap_or(now);
            self.expires.map_or(late, |end| late.min(end))
        } else {
            last_tick(next, period.duration, now)
        };
        Ok(Some(wire::Job {
            due_time: Some(due.to_string()),
            repeats: left.filter(|_| schedule.is_some()),
            ttl: self
                .expires
                .filter(|_| schedule.is_some())
                .map(|end| end.to_string()),
            schedule,
            data: self.data.clone(),
            failure_policy: None,
        }))
    }
}

/// The last of the times from `first` on, one `period` apart, that is not after `now`.
fn last_tick(first: Timestamp, period: SignedDuration, now: Timestamp) -> Timestamp {
    let missed = (now.as_nanosecond() - first.as_nanosecond()) / period.as_nanos();
    let nanos = first.as_nanosecond() + missed * period.as_nanos();
    Timestamp::from_nanosecond(nanos).unwrap_or(now)
}
