//! Jobs of the service made into stored ones, and back.

use jiff::Timestamp;
use prost_types::{Any, Duration};
use proto::dapr::common::v1 as common;
use proto::dapr::scheduler::v1::{Job, JobMetadata, NamedJob};
use schedule::{Begin, Plan, Spec};
use service::quote::quoted;

use super::api::{self, FailurePolicyConstant, FailurePolicyDrop, failure_policy::Policy};
use super::stored::{self, job};
use super::{target, timestamp};
use crate::store::Record;

const LONGEST_KEY: usize = 512;

/// Why a job is not taken; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Target(#[from] target::NoTarget),
    #[error("job name is invalid {}: {reason}", quoted(key))]
    Key { key: String, reason: &'static str },
    #[error("job concurrency key must be at most {LONGEST_KEY} characters")]
    ConcurrencyKey,
    #[error("{}", .0.of_job())]
    Plan(#[from] schedule::Error),
}

/// Whether a job may have this key.
pub(crate) fn check_key(key: &str) -> Result<(), Refused> {
    let reason = if key.is_empty() || key == "." || key == ".." {
        "must not be empty, '.' or '..'"
    } else if key.len() > LONGEST_KEY {
        "must be at most 512 characters"
    } else if key.contains(['/', '\\', '#', '?']) {
        "must not contain '/', '\\', '#' or '?'"
    } else if key.chars().any(char::is_control) {
        "must not contain control characters"
    } else {
        return Ok(());
    };
    let key = key.chars().take(LONGEST_KEY).collect();
    Err(Refused::Key { key, reason })
}

/// The stored form of a job that arrives now; its partition is drawn by lot.
pub(crate) fn accept(
    job: Job,
    metadata: &JobMetadata,
    now: Timestamp,
) -> Result<stored::Job, Refused> {
    let concurrency_key = metadata.concurrency_key.as_ref();
    if concurrency_key.is_some_and(|key| key.len() > LONGEST_KEY) {
        return Err(Refused::ConcurrencyKey);
    }
    let spec = Spec {
        schedule: job.schedule.as_deref(),
        due_time: job.due_time.as_deref(),
        ttl: job.ttl.as_deref(),
        repeats: job.repeats,
    };
    let plan = Plan::new(&spec, now)?;
    let begin = match plan.begin() {
        Begin::Start(start) => job::Begin::Start(timestamp(start)),
        Begin::DueTime(due_time) => job::Begin::DueTime(timestamp(due_time)),
    };
    Ok(stored::Job {
        partition_id: rand::random(),
        begin: Some(begin),
        expiration: plan.expiration().map(timestamp),
        job: Some(api::Job {
            schedule: job.schedule,
            due_time: job.due_time,
            ttl: job.ttl,
            repeats: job.repeats,
            // Encoding into memory cannot fail.
            metadata: Any::from_msg(metadata).ok(),
            payload: job.data,
            failure_policy: Some(policy(job.failure_policy)),
        }),
    })
}

/// A stored job as the service shows it.
pub(crate) fn show(job: stored::Job) -> Job {
    let job = job.job.unwrap_or_default();
    Job {
        schedule: job.schedule,
        repeats: job.repeats,
        due_time: job.due_time,
        ttl: job.ttl,
        data: job.payload,
        failure_policy: job.failure_policy.and_then(shown_policy),
    }
}

/// A stored job with what it is called; `None` for one that is malformed.
pub(crate) fn show_named(record: Record) -> Option<NamedJob> {
    let job = record.job.job.as_ref();
    let metadata = target::metadata(job.and_then(|job| job.metadata.as_ref())).ok()?;
    let prefix = target::prefix(&metadata).ok()?;
    let name = record.key.strip_prefix(&prefix)?.to_owned();
    Some(NamedJob {
        name,
        metadata: Some(metadata),
        job: Some(show(*record.job)),
    })
}

fn policy(given: Option<common::JobFailurePolicy>) -> api::FailurePolicy {
    use common::job_failure_policy::Policy as Given;
    let policy = match given.and_then(|given| given.policy) {
        Some(Given::Drop(_)) => Policy::Drop(FailurePolicyDrop {}),
        Some(Given::Constant(constant)) => Policy::Constant(FailurePolicyConstant {
            interval: constant.interval,
            max_retries: constant.max_retries,
        }),
        None => Policy::Constant(FailurePolicyConstant {
            interval: Some(Duration {
                seconds: 1,
                nanos: 0,
            }),
            max_retries: Some(3),
        }),
    };
    let policy = Some(policy);
    api::FailurePolicy { policy }
}

fn shown_policy(stored: api::FailurePolicy) -> Option<common::JobFailurePolicy> {
    use common::job_failure_policy::Policy as Shown;
    let policy = match stored.policy? {
        Policy::Drop(_) => Shown::Drop(common::JobFailurePolicyDrop {}),
        Policy::Constant(constant) => Shown::Constant(common::JobFailurePolicyConstant {
            interval: constant.interval,
            max_retries: constant.max_retries,
        }),
    };
    let policy = Some(policy);
    Some(common::JobFailurePolicy { policy })
}
