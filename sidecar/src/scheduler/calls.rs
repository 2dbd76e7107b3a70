//! Calls to the schedulers, which take turns.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;
use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, ConnectError, Status};

use super::connect::Host;
use super::line::{Framed, unary};
use super::{Client, Inner, Target};
use crate::api::metrics::code_name;

const SCHEDULE: &str = "/dapr.proto.scheduler.v1.Scheduler/ScheduleJob";
const GET: &str = "/dapr.proto.scheduler.v1.Scheduler/GetJob";
const DELETE: &str = "/dapr.proto.scheduler.v1.Scheduler/DeleteJob";
const LIST: &str = "/dapr.proto.scheduler.v1.Scheduler/ListJobs";
const DELETE_BY_METADATA: &str = "/dapr.proto.scheduler.v1.Scheduler/DeleteByMetadata";
const DELETE_BY_NAME_PREFIX: &str = "/dapr.proto.scheduler.v1.Scheduler/DeleteByNamePrefix";

/// The longest that a call takes, waiting for a connection included.
const CALL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("scheduler clients are disabled")]
    Disabled,
    #[error("rpc error: code = {} desc = {}", code_name(.0.code() as i64), .0.message())]
    Call(Box<Status>),
}

impl Error {
    /// The scheduler's own code; without one, unknown.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Disabled => Code::Unknown,
            Self::Call(status) => status.code(),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// Whether a call waits for a scheduler that can be reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

impl Client {
    /// Creates a job. Without `overwrite` a name that is taken is `AlreadyExists`.
    pub(crate) async fn schedule(
        &self,
        name: String,
        job: wire::Job,
        target: Target<'_>,
        overwrite: bool,
    ) -> Result<(), Error> {
        let inner = self.enabled()?;
        let request = wire::ScheduleJobRequest {
            name,
            job: Some(job),
            metadata: Some(inner.metadata(target)),
            overwrite,
        };
        let scheduled = inner.call(Wait::Yes, SCHEDULE, &request).await;
        scheduled.map(|wire::ScheduleJobResponse {}| ())
    }

    /// The job; `NotFound` if there is none.
    pub(crate) async fn get(&self, name: String, target: Target<'_>) -> Result<wire::Job, Error> {
        let inner = self.enabled()?;
        let metadata = Some(inner.metadata(target));
        let request = wire::GetJobRequest { name, metadata };
        let answer: wire::GetJobResponse = inner.call(Wait::Yes, GET, &request).await?;
        Ok(answer.job.unwrap_or_default())
    }

    /// Deletes a job, which need not be there.
    pub(crate) async fn delete(&self, name: String, target: Target<'_>) -> Result<(), Error> {
        let inner = self.enabled()?;
        let metadata = Some(inner.metadata(target));
        let request = wire::DeleteJobRequest { name, metadata };
        let deleted = inner.call(Wait::Yes, DELETE, &request).await;
        deleted.map(|wire::DeleteJobResponse {}| ())
    }

    /// All jobs of the target.
    pub(crate) async fn list(&self, target: Target<'_>) -> Result<Vec<wire::NamedJob>, Error> {
        let inner = self.enabled()?;
        let metadata = Some(inner.metadata(target));
        let request = wire::ListJobsRequest { metadata };
        let answer: wire::ListJobsResponse = inner.call(Wait::No, LIST, &request).await?;
        Ok(answer.jobs)
    }

    /// Deletes all jobs of the target; with `id_prefix_match`, those of all actors
    /// whose id begins so.
    pub(crate) async fn delete_by_metadata(
        &self,
        target: Target<'_>,
        id_prefix_match: bool,
    ) -> Result<(), Error> {
        let inner = self.enabled()?;
        let request = wire::DeleteByMetadataRequest {
            metadata: Some(inner.metadata(target)),
            id_prefix_match: Some(id_prefix_match),
        };
        let deleted = inner.call(Wait::No, DELETE_BY_METADATA, &request).await;
        deleted.map(|wire::DeleteByMetadataResponse {}| ())
    }

    /// Deletes the target's jobs whose names begin so; all with an empty prefix.
    pub(crate) async fn delete_by_name_prefix(
        &self,
        name_prefix: String,
        target: Target<'_>,
    ) -> Result<(), Error> {
        let inner = self.enabled()?;
        let request = wire::DeleteByNamePrefixRequest {
            name_prefix,
            metadata: Some(inner.metadata(target)),
        };
        let deleted = inner.call(Wait::No, DELETE_BY_NAME_PREFIX, &request).await;
        deleted.map(|wire::DeleteByNamePrefixResponse {}| ())
    }

    fn enabled(&self) -> Result<&Inner, Error> {
        self.inner.as_deref().ok_or(Error::Disabled)
    }
}

impl Inner {
    fn metadata(&self, target: Target<'_>) -> wire::JobMetadata {
        let target = match target {
            Target::App => Type::Job(wire::TargetJob {}),
            Target::Actor { kind, id } => Type::Actor(wire::TargetActorReminder {
                id: id.to_owned(),
                r#type: kind.to_owned(),
            }),
        };
        wire::JobMetadata {
            app_id: self.app_id.to_string(),
            namespace: self.namespace.to_string(),
            target: Some(wire::JobTargetMetadata {
                r#type: Some(target),
            }),
            concurrency_key: None,
        }
    }

    async fn call<A: Message + Default>(
        &self,
        wait: Wait,
        method: &'static str,
        request: &impl Message,
    ) -> Result<A, Error> {
        let deadline = Instant::now() + CALL;
        let message = Framed::new(request);
        let mut last = None;
        let tries = async {
            let mut tried = 0;
            loop {
                let (host, hosts) = self.next().await;
                let status = match attempt(&host, method, message.clone(), deadline).await {
                    Ok(answer) => return Ok(answer),
                    Err(status) => status,
                };
                tried += 1;
                match pause(&status, tried, hosts, wait) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(status),
                }
                last = Some(status);
            }
        };
        match timeout_at(deadline, tries).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                let cause = last.map(|status| format!(": {}", status.message()));
                let cause = cause.unwrap_or_default();
                let message = format!("context deadline exceeded{cause}");
                Err(Status::deadline_exceeded(message).into())
            }
        }
    }

    /// The scheduler whose turn it is, and how many there are. Waits until there
    /// is one.
    async fn next(&self) -> (Arc<Host>, usize) {
        let mut hosts = self.hosts.borrow().clone();
        if hosts.is_empty() {
            let mut known = self.hosts.subscribe();
            // The sender is in `self`.
            if let Ok(known) = known.wait_for(|hosts| !hosts.is_empty()).await {
                hosts = known.clone();
            }
        }
        let count = hosts.len();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % count.max(1);
        (hosts[turn].clone(), count)
    }
}

async fn attempt<A: Message + Default>(
    host: &Host,
    method: &'static str,
    message: Framed,
    deadline: Instant,
) -> Result<A, Status> {
    let line = host.line().await?;
    let left = deadline.saturating_duration_since(Instant::now());
    unary(line, method, message, left).await
}

/// How long to wait before the next scheduler is tried; `None` ends the call. What
/// has been sent is not repeated, unless the scheduler itself gave up on it.
fn pause(status: &Status, tried: usize, hosts: usize, wait: Wait) -> Option<Duration> {
    let jitter = PAUSE.mul_f64(rand::random_range(0.5..1.5));
    if !unsent(status) {
        return (status.code() == Code::Cancelled).then_some(jitter);
    }
    let all_tried = tried.is_multiple_of(hosts);
    match (wait, all_tried) {
        (_, false) => Some(Duration::ZERO),
        (Wait::Yes, true) => Some(jitter),
        (Wait::No, true) => None,
    }
}

/// Whether the request certainly reached nobody.
fn unsent(status: &Status) -> bool {
    let mut at = std::error::Error::source(status);
    while let Some(error) = at {
        let gone = error.downcast_ref::<hyper::Error>();
        if error.is::<ConnectError>() || gone.is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        at = error.source();
    }
    false
}
