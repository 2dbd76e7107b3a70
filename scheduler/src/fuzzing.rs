//! What requests become, for the crate `fuzz`.

use std::collections::VecDeque;

use jiff::Timestamp;
use prost::Message;
use proto::dapr::scheduler::v1::{NamedJob, ScheduleJobRequest, WatchJobsResponse};
use service::metrics::Registry;

use crate::engine::{Effect, Engine, Event, Watch};
use crate::metrics::Metrics;
use crate::records::target::{self, Target};
use crate::records::{self, stored};
use crate::store::{Change, Record};

pub use crate::etcd::face::fuzzing::Tool;

/// A job that was taken.
#[derive(Debug)]
pub struct Taken {
    pub request: ScheduleJobRequest,
    pub key: String,
    /// As a list shows it.
    pub shown: Option<NamedJob>,
    pub first: First,
}

/// A message of a sidecar that schedules a job; the error is what it is told.
pub fn job(message: &[u8], now: Timestamp) -> Result<Taken, String> {
    let request = ScheduleJobRequest::decode(message).map_err(|e| e.to_string())?;
    let metadata = request.metadata.clone().unwrap_or_default();
    let prefix = target::prefix(&metadata).map_err(|e| e.to_string())?;
    let key = prefix + &request.name;
    records::check_key(&key).map_err(|e| e.to_string())?;
    let job = request.job.clone().unwrap_or_default();
    let job = records::accept(job, &metadata, now).map_err(|e| e.to_string())?;
    // It is read from the disk before it is shown or fired.
    let job = stored::Job::decode(&*job.encode_to_vec()).map_err(|e| e.to_string())?;
    let record = Record {
        key: key.as_str().into(),
        revision: 1,
        job: Box::new(job),
        counter: None,
    };
    let target = Target::of(&metadata).map_err(|e| e.to_string())?;
    Ok(Taken {
        request,
        key,
        shown: records::show_named(record.clone()),
        first: first(&record, target, now),
    })
}

/// What a job does first.
#[derive(Debug)]
pub enum First {
    Fires(Box<WatchJobsResponse>),
    /// It has run its course before it fires.
    Ends,
    /// It is passed over.
    Nothing,
}

/// What the engine makes of a job for which a stream waits.
fn first(record: &Record, target: Target, now: Timestamp) -> First {
    let mut engine = Engine::new(Metrics::new(&Registry::new(&[])));
    let watch = Watch {
        targets: vec![target],
        limits: Vec::new(),
    };
    let put = Change::Put(record.clone());
    let mut events = VecDeque::from([Event::Joined(0, watch), Event::Change(put)]);
    let mut at = now;
    while let Some(event) = events.pop_front() {
        for effect in engine.on(event, at) {
            match effect {
                Effect::Deliver(_, trigger) => return First::Fires(trigger),
                Effect::Load(job, _) => {
                    events.push_back(Event::Loaded(job, Some(Box::new(record.clone()))));
                }
                Effect::Write(..) => return First::Ends,
                Effect::Close(_) => {}
            }
        }
        if events.is_empty()
            && let Some(due) = engine.wake_at()
        {
            at = at.max(due);
            events.push_back(Event::Tick);
        }
    }
    First::Nothing
}
