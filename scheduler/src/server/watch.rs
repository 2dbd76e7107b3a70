//! The streams: triggers to sidecars and their results, and the list of hosts.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType as Message;
use proto::dapr::scheduler::v1::{
    Host, JobTargetType, WatchHostsResponse, WatchJobsRequest, WatchJobsRequestInitial,
    WatchJobsRequestResult, WatchJobsRequestResultStatus, WatchJobsResponse,
};
use tokio::time::timeout;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Status, Streaming};

use super::Service;
use crate::engine::{Handle, Limit, StreamId, Watch, outbox};
use crate::metrics::Metrics;
use crate::records::target::Target;

const STREAM: &str = "dapr.scheduler.server.pool.loops.stream";
/// A stream that has not said by then what it wants is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most actor types, and the most limits, of one stream.
const MOST_TYPES: usize = 10_000;
const LONGEST_TYPE: usize = 512;

impl Service {
    pub(super) async fn watch(
        &self,
        extensions: &Extensions,
        mut messages: Streaming<WatchJobsRequest>,
    ) -> Result<BoxStream<'static, Result<WatchJobsResponse, Status>>, Status> {
        let first = timeout(PATIENCE, messages.message()).await;
        let first =
            first.map_err(|_| Status::deadline_exceeded("no initial request was sent"))??;
        let Some(Message::Initial(initial)) = first.and_then(|m| m.watch_job_request_type) else {
            return Err(Status::unknown(
                "initial request is required on stream connection",
            ));
        };
        self.authorize(extensions, &initial.namespace, &initial.app_id)
            .inspect_err(|_| self.metrics.sidecar_errors.with(&["auth_failed"]).inc())?;
        let watch = wanted(&initial)?;
        let name = format!("{}/{}", initial.namespace, initial.app_id);
        let prefixes: Vec<_> = watch.targets.iter().map(Target::to_string).collect();
        tracing::info!(
            target: STREAM,
            "Sidecar connected: {name} (actorTypes=[{}]) (prefixes=[{}]).",
            initial.actor_types.join(" "),
            prefixes.join(" "),
        );
        let (outbox, deliveries) = outbox();
        let ended = |_| Status::unavailable("the scheduler is shutting down");
        let id = self.cron.join(watch, outbox).await.map_err(ended)?;
        let results = Results {
            name,
            id,
            cron: self.cron.clone(),
            closed: deliveries.closed.clone(),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn("results of jobs", results.pass(messages));
        Ok(deliveries.into_stream().boxed())
    }

    /// The list of schedulers, now and whenever they agree anew.
    pub(super) fn follow_hosts(&self) -> BoxStream<'static, Result<WatchHostsResponse, Status>> {
        let lists = WatchStream::new(self.hosts.all());
        let agreed = lists.filter(|list| std::future::ready(!list.is_empty()));
        let end = self.tasks.token();
        agreed
            .map(|list| {
                let host = |address: &String| Host {
                    address: address.clone(),
                };
                Ok(WatchHostsResponse {
                    hosts: list.iter().map(host).collect(),
                })
            })
            // The last list stays true when nobody is left to make another.
            .chain(futures_util::stream::pending())
            .take_until(async move { end.cancelled().await })
            .boxed()
    }
}

/// What a stream wants, in the engine's terms.
fn wanted(initial: &WatchJobsRequestInitial) -> Result<Watch, Status> {
    let refuse = |text: &str| Err(Status::invalid_argument(text));
    let mut kinds = BTreeSet::new();
    for number in &initial.accept_job_types {
        let Ok(kind) = JobTargetType::try_from(*number) else {
            return refuse("a job type of accept_job_types is unknown");
        };
        if !kinds.insert(*number) {
            let name = kind.as_str_name();
            return Err(Status::unknown(format!(
                "duplicate target type specified: {name}"
            )));
        }
    }
    let accepts = |kind: JobTargetType| kinds.is_empty() || kinds.contains(&(kind as i32));
    let long = |name: &String| name.len() > LONGEST_TYPE;
    if initial.actor_types.len() > MOST_TYPES || initial.actor_types.iter().any(long) {
        return refuse("at most 10000 actor types of 512 bytes can be asked for");
    }
    let limits = &initial.concurrency_limits;
    if limits.len() > MOST_TYPES || limits.iter().any(|l| l.name.as_ref().is_some_and(long)) {
        return refuse("at most 10000 limits with names of 512 bytes can be told");
    }
    let namespace = &initial.namespace;
    let mut targets = Vec::new();
    if accepts(JobTargetType::Job) {
        targets.push(Target::App {
            namespace: namespace.clone(),
            app_id: initial.app_id.clone(),
        });
    }
    if accepts(JobTargetType::ActorReminder) {
        let types: BTreeSet<_> = initial.actor_types.iter().cloned().collect();
        targets.extend(types.into_iter().map(|kind| Target::Actor {
            namespace: namespace.clone(),
            kind,
        }));
    }
    if targets.is_empty() {
        return refuse("a stream of actor reminders must name the actor types that it takes");
    }
    let limits = limits.iter().filter_map(|l| Limit::of(namespace, l));
    Ok(Watch {
        targets,
        limits: limits.collect(),
    })
}

/// Passes the results of one stream on.
struct Results {
    /// The namespace and the app.
    name: String,
    id: StreamId,
    cron: Handle,
    closed: CancellationToken,
    metrics: Metrics,
}

impl Results {
    async fn pass(self, mut messages: Streaming<WatchJobsRequest>) {
        tokio::select! {
            () = self.closed.cancelled() => {}
            () = self.receive(&mut messages) => {}
        }
        tracing::info!(target: STREAM, "Closing connection to {}", self.name);
        self.cron.leave(self.id).await;
    }

    async fn receive(&self, messages: &mut Streaming<WatchJobsRequest>) {
        loop {
            let message = match messages.message().await {
                Ok(Some(message)) => message.watch_job_request_type,
                Ok(None) => return,
                Err(e) => return self.failed(e.message()),
            };
            let Some(Message::Result(result)) = message else {
                return self.failed("it sent a message that is not a result");
            };
            let WatchJobsRequestResult { id, status } = result;
            let success = status == WatchJobsRequestResultStatus::Success as i32;
            if self.cron.result(self.id, id, success).await.is_err() {
                return;
            }
        }
    }

    fn failed(&self, why: &str) {
        let name = &self.name;
        tracing::warn!(target: STREAM, "Error receiving from stream {name}: {why}");
        self.metrics.sidecar_errors.with(&["recv_failed"]).inc();
    }
}
