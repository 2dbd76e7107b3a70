//! One stream of triggers: opened again when it breaks, finished in good order when
//! it is no longer wanted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::connect::Dialer;
use super::plan::Accept;
use super::{JobTrigger, Outcome, ReminderTrigger, Triggers};

pub(crate) const SCOPE: &str = "dapr.runtime.scheduler.cluster";

const PAUSE: Duration = Duration::from_millis(500);
/// The largest trigger in bytes.
const LARGEST: usize = 16 << 20;
/// Triggers that run at once. While so many do, or so large ones, no more are read.
const MOST: usize = 1024;
const MOST_BYTES: usize = 64 << 20;
/// A stream that lasted so long was a good one; the next failure is news.
const CALM: Duration = Duration::from_secs(10);
/// How long triggers that run may take when no more are wanted.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the scheduler may take to read the last results.
const FLUSH: Duration = Duration::from_millis(500);

/// Who takes what comes.
pub(super) struct Receiver {
    pub(super) triggers: Triggers,
    pub(super) app_id: Arc<str>,
    pub(super) namespace: Arc<str>,
}

pub(super) struct Stream {
    pub(super) address: Arc<str>,
    pub(super) accept: Accept,
    pub(super) dialer: Dialer,
    pub(super) receiver: Arc<Receiver>,
}

/// Why a stream ended that is still wanted.
enum End {
    /// In good order.
    Closed,
    Failed(String),
}

impl Stream {
    /// Until `stop`, and then until the triggers that run are done.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut failed_before = false;
        loop {
            let start = Instant::now();
            let Some(end) = self.receive(&stop).await else {
                return tracing::info!(target: SCOPE, "Scheduler stream disconnected");
            };
            failed_before &= start.elapsed() < CALM;
            match end {
                End::Closed => tracing::info!(target: SCOPE, "Scheduler stream disconnected"),
                End::Failed(text) if failed_before => tracing::debug!(target: SCOPE, "{text}"),
                End::Failed(text) => {
                    tracing::error!(target: SCOPE, "{text}");
                    failed_before = true;
                }
            }
            tokio::select! {
                () = sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Opens the stream and takes what comes. `None` after `stop`.
    async fn receive(&self, stop: &CancellationToken) -> Option<End> {
        let connected = tokio::select! {
            connected = self.dialer.connect(&self.address) => connected,
            () = stop.cancelled() => return None,
        };
        let channel = match connected {
            Ok(channel) => channel,
            Err(e) => {
                let (address, cause) = (&self.address, crate::app::reason(&e));
                let text = format!("Failed to watch scheduler jobs, retrying: {address}: {cause}");
                return Some(End::Failed(text));
            }
        };
        let types = self.accept.types().map(|t| t.as_str_name());
        let types = types.collect::<Vec<_>>().join(" ");
        tracing::info!(target: SCOPE, "Scheduler stream connected for [{types}]");
        let broken = |status: &Status| {
            let text = format!("Scheduler stream disconnected: {}", status.message());
            Some(End::Failed(text))
        };
        let (results, outgoing) = mpsc::channel(MOST);
        let _ = results.try_send(self.initial());
        let mut scheduler = SchedulerClient::new(channel).max_decoding_message_size(LARGEST);
        // An answer may come with the first trigger only.
        let mut incoming = tokio::select! {
            opened = scheduler.watch_jobs(ReceiverStream::new(outgoing)) => match opened {
                Ok(opened) => opened.into_inner(),
                Err(status) => return broken(&status),
            },
            () = stop.cancelled() => return None,
        };
        let mut running = FuturesUnordered::new();
        let mut bytes = 0;
        loop {
            // Every trigger that runs has a place for its result.
            let places = results.capacity().saturating_sub(running.len());
            tokio::select! {
                message = incoming.message(), if places > 0 && bytes < MOST_BYTES => {
                    let trigger = match message {
                        Ok(Some(trigger)) => trigger,
                        Ok(None) => return Some(End::Closed),
                        Err(status) => return broken(&status),
                    };
                    let size = trigger.encoded_len();
                    bytes += size;
                    running.push(async move { (self.receiver.take(trigger).await, size) });
                }
                Some((result, size)) = running.next() => {
                    bytes -= size;
                    // Where results are not taken any more, no triggers come either.
                    let _ = results.try_send(result);
                }
                Ok(_) = results.reserve(), if places == 0 && running.is_empty() => {}
                () = stop.cancelled() => break,
            }
        }
        let finish = async {
            while let Some((result, _)) = running.next().await {
                let _ = results.try_send(result);
            }
        };
        let _ = timeout(DRAIN, finish).await;
        drop(results);
        let _ = timeout(FLUSH, ended(&mut incoming)).await;
        None
    }

    fn initial(&self) -> wire::WatchJobsRequest {
        let Self {
            accept, receiver, ..
        } = self;
        let initial = wire::WatchJobsRequestInitial {
            app_id: receiver.app_id.to_string(),
            namespace: receiver.namespace.to_string(),
            actor_types: accept.actor_types.iter().map(ToString::to_string).collect(),
            accept_job_types: accept.types().map(i32::from).collect(),
            concurrency_limits: Vec::new(),
        };
        wire::WatchJobsRequest {
            watch_job_request_type: Some(WatchJobRequestType::Initial(initial)),
        }
    }
}

impl Accept {
    fn types(&self) -> impl Iterator<Item = wire::JobTargetType> {
        let jobs = self.jobs.then_some(wire::JobTargetType::Job);
        let actors = !self.actor_types.is_empty();
        jobs.into_iter()
            .chain(actors.then_some(wire::JobTargetType::ActorReminder))
    }
}

impl Receiver {
    /// Runs a trigger; the result is for the scheduler.
    async fn take(&self, trigger: wire::WatchJobsResponse) -> wire::WatchJobsRequest {
        let wire::WatchJobsResponse {
            name,
            id,
            data,
            metadata,
        } = trigger;
        let target = metadata.and_then(|m| m.target).and_then(|t| t.r#type);
        let outcome = match (target, &self.triggers.reminders) {
            (Some(Type::Job(_)), _) => self.triggers.jobs.job(JobTrigger { name, data }).await,
            (Some(Type::Actor(actor)), Some(reminders)) => {
                let (kind, id) = (actor.r#type, actor.id);
                let reminder = ReminderTrigger {
                    kind,
                    id,
                    name,
                    data,
                };
                reminders.reminder(reminder).await
            }
            (target, _) => {
                tracing::error!(target: SCOPE, "Unknown job metadata type: {target:?}");
                Outcome::Failed
            }
        };
        let status = match outcome {
            Outcome::Success => wire::WatchJobsRequestResultStatus::Success,
            Outcome::Failed => wire::WatchJobsRequestResultStatus::Failed,
        };
        let result = wire::WatchJobsRequestResult {
            id,
            status: status.into(),
        };
        wire::WatchJobsRequest {
            watch_job_request_type: Some(WatchJobRequestType::Result(result)),
        }
    }
}

/// The scheduler has read everything when it ends its side as well.
async fn ended(incoming: &mut Streaming<wire::WatchJobsResponse>) {
    while let Ok(Some(_)) = incoming.message().await {}
}
