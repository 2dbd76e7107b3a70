//! Reminders: jobs of actors, kept by the scheduler.

use actors::Error;
use actors::call::{Actor, Data, Fire, Fired};
use actors::reminders::Times;
use async_trait::async_trait;
use proto::dapr::common::v1::JobFailurePolicy;
use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use tonic::Code;

use super::{Actors, names};
use crate::api::error::ApiError;
use crate::api::errors::actors as errors;
use crate::api::errors::actors::Doing;
use crate::scheduler::{self, Outcome, ReminderTrigger, Target};

const SCOPE: &str = "dapr.runtime.actor.reminders.scheduler";

/// A reminder as a caller asks for it; empty texts were not given.
#[derive(Debug)]
pub(crate) struct Reminder {
    pub(crate) name: String,
    pub(crate) due_time: String,
    pub(crate) period: String,
    pub(crate) ttl: String,
    pub(crate) data: Option<Data>,
    pub(crate) overwrite: bool,
    pub(crate) failure_policy: Option<JobFailurePolicy>,
}

/// A reminder as the scheduler has it. The period is a schedule, and a lifetime
/// only shows when it is a moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) due_time: String,
    pub(crate) period: String,
    pub(crate) ttl: String,
    pub(crate) data: Option<Data>,
}

impl From<wire::Job> for Stored {
    fn from(job: wire::Job) -> Self {
        let ttl = job.ttl.filter(|ttl| ttl.parse::<jiff::Timestamp>().is_ok());
        Self {
            due_time: job.due_time.unwrap_or_default(),
            period: job.schedule.unwrap_or_default(),
            ttl: ttl.unwrap_or_default(),
            data: job.data.map(data),
        }
    }
}

fn data(any: prost_types::Any) -> Data {
    Data {
        type_url: any.type_url,
        value: any.value.into(),
    }
}

fn target(actor: &Actor) -> Target<'_> {
    Target::Actor {
        kind: &actor.kind,
        id: &actor.id,
    }
}

/// The failure policy in the body of a request over HTTP says nothing, as with
/// upstream; only the one shape that upstream refuses is refused.
pub(super) fn check_policy(policy: &serde_json::Value) -> Result<(), String> {
    match policy.get("policy") {
        Some(_) => Err("failure_policy: a policy can only be set over gRPC".into()),
        None => Ok(()),
    }
}

impl Actors {
    pub(crate) async fn create_reminder(
        &self,
        actor: &Actor,
        reminder: Reminder,
    ) -> Result<(), ApiError> {
        names::check(&reminder.name)
            .map_err(|e| errors::bad_request(&format!("invalid reminder name: {e}")))?;
        self.hosted(&actor.kind).await?;
        let failed = |cause: String| errors::reminder(Doing::Create, &cause);
        let times = Times::of_reminder(&reminder.due_time, &reminder.period, &reminder.ttl)
            .map_err(|e| failed(e.to_string()))?;
        let job = wire::Job {
            schedule: times.schedule,
            repeats: times.repeats,
            due_time: times.due_time,
            ttl: times.ttl,
            data: reminder.data.map(|data| prost_types::Any {
                type_url: data.type_url,
                value: data.value.into(),
            }),
            failure_policy: reminder.failure_policy,
        };
        let name = reminder.name.clone();
        let scheduler = &self.inner.scheduler;
        let scheduled = scheduler.schedule(name, job, target(actor), reminder.overwrite);
        scheduled.await.map_err(|e| {
            if e.code() == Code::AlreadyExists {
                return errors::reminder_exists(&reminder.name);
            }
            tracing::error!(target: SCOPE, "Error scheduling reminder job {} due to: {e}", reminder.name);
            failed(e.to_string())
        })
    }

    pub(crate) async fn get_reminder(&self, actor: &Actor, name: &str) -> Result<Stored, ApiError> {
        self.hosted_unreserved(&actor.kind).await?;
        let found = self
            .inner
            .scheduler
            .get(name.to_owned(), target(actor))
            .await;
        match found {
            Ok(job) => Ok(job.into()),
            Err(e) if e.code() == Code::NotFound => Err(errors::reminder_not_found(name)),
            Err(e) => {
                let cause =
                    format!("api error: code = Internal desc = failed to get job due to: {e}");
                Err(errors::reminder(Doing::Get, &cause))
            }
        }
    }

    /// Deletes a reminder, which need not be there.
    pub(crate) async fn delete_reminder(&self, actor: &Actor, name: &str) -> Result<(), ApiError> {
        self.hosted_unreserved(&actor.kind).await?;
        let deleted = self
            .inner
            .scheduler
            .delete(name.to_owned(), target(actor))
            .await;
        deleted.map_err(|e| {
            tracing::error!(target: SCOPE, "Error deleting reminder job {name} due to: {e}");
            errors::reminder(Doing::Delete, &e.to_string())
        })
    }

    /// Deletes all reminders of an actor, or without an id those of all actors of
    /// the type.
    pub(crate) async fn delete_reminders(
        &self,
        kind: &str,
        id: Option<&str>,
    ) -> Result<(), ApiError> {
        self.hosted_unreserved(kind).await?;
        let of = Target::Actor {
            kind,
            id: id.unwrap_or_default(),
        };
        let deleted = self
            .inner
            .scheduler
            .delete_by_metadata(of, id.is_none())
            .await;
        deleted.map_err(|e| errors::reminder(Doing::Delete, &e.to_string()))
    }

    /// The reminders of an actor, or without an id those of all actors of the type,
    /// each with its name.
    pub(crate) async fn list_reminders(
        &self,
        kind: &str,
        id: Option<&str>,
    ) -> Result<Vec<(Actor, String, Stored)>, ApiError> {
        self.hosted_unreserved(kind).await?;
        let of = Target::Actor {
            kind,
            id: id.unwrap_or_default(),
        };
        let jobs = self.inner.scheduler.list(of).await;
        let jobs = jobs.map_err(|e| listing(&e))?;
        let named = jobs.into_iter().filter_map(|named| {
            let target = named.metadata?.target?.r#type?;
            let Type::Actor(actor) = target else {
                let name = named.name;
                tracing::warn!(target: SCOPE, "Skipping reminder job {name} with unsupported target type");
                return None;
            };
            let actor = Actor::new(actor.r#type, actor.id);
            Some((actor, named.name, named.job.unwrap_or_default().into()))
        });
        Ok(named.collect())
    }

    async fn hosted_unreserved(&self, kind: &str) -> Result<(), ApiError> {
        self.unreserved(kind).map_err(|e| errors::general(&e))?;
        self.hosted(kind).await
    }

    /// Reminders are the business of the sidecars that host the type.
    async fn hosted(&self, kind: &str) -> Result<(), ApiError> {
        let runtime = self.ready().await.map_err(|e| errors::general(&e))?;
        match runtime.host.hosts(kind) {
            true => Ok(()),
            false => Err(errors::reminder_not_hosted()),
        }
    }
}

/// The scheduler's own error reaches the caller.
fn listing(error: &scheduler::Error) -> ApiError {
    ApiError {
        grpc: error.code(),
        ..crate::api::errors::unclassified(error.to_string())
    }
}

#[async_trait]
impl scheduler::Reminders for Actors {
    /// Whoever has the actor gets it; one that moves is waited for.
    async fn reminder(&self, trigger: ReminderTrigger) -> Outcome {
        let Some(runtime) = &self.inner.runtime else {
            return Outcome::Failed;
        };
        let fire = Fire {
            actor: Actor::new(trigger.kind, trigger.id),
            name: trigger.name,
            data: trigger.data.map(data),
            due_time: String::new(),
            period: String::new(),
            callback: String::new(),
            is_timer: false,
            skip_lock: false,
        };
        match runtime.router.fire(&fire).await {
            Ok(Fired::Done | Fired::Canceled) | Err(Error::ReminderCanceled) => Outcome::Success,
            Err(e) => {
                tracing::error!(
                    target: "dapr.runtime.scheduler.cluster",
                    "failed to invoke scheduled actor reminder named: {} due to: {e}", fire.name
                );
                Outcome::Failed
            }
        }
    }
}
