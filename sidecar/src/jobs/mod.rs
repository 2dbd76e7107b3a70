//! Jobs: work that the scheduler hands to the app when it is due.

mod events;
pub(crate) mod grpc;
pub(crate) mod http;
mod metrics;
mod value;

use std::sync::Arc;

use proto::dapr::runtime::v1 as rt;
use proto::dapr::scheduler::v1 as wire;

pub(crate) use self::events::Events;
pub(crate) use self::metrics::JobMetrics;
use crate::api::error::ApiError;
use crate::api::errors::jobs::Owner;
use crate::scheduler::{Client, Target};

const SCOPE: &str = "dapr.api";

/// A handle on the jobs of this app.
#[derive(Clone)]
pub(crate) struct Jobs {
    scheduler: Client,
    app_id: Arc<str>,
    namespace: Arc<str>,
}

impl Jobs {
    pub(crate) fn new(scheduler: Client, app_id: &str, namespace: &str) -> Self {
        Self {
            scheduler,
            app_id: app_id.into(),
            namespace: namespace.into(),
        }
    }

    /// Creates a job; with `overwrite`, in place of the one that has its name.
    pub(crate) async fn schedule(
        &self,
        job: Option<rt::Job>,
        overwrite: bool,
    ) -> Result<(), ApiError> {
        let job = job.ok_or_else(|| self.owner().empty())?;
        let name = self.named(job.name)?;
        if job.schedule.is_none() && job.due_time.is_none() {
            return Err(self.owner().schedule_empty());
        }
        let job = wire::Job {
            schedule: job.schedule,
            repeats: job.repeats,
            due_time: job.due_time,
            ttl: job.ttl,
            data: job.data,
            failure_policy: job.failure_policy,
        };
        let scheduled = self
            .scheduler
            .schedule(name.clone(), job, Target::App, overwrite);
        scheduled.await.map_err(|e| {
            tracing::error!(target: SCOPE, "Error scheduling job {name} due to: {e}");
            self.owner().schedule(&e)
        })
    }

    pub(crate) async fn get(&self, name: String) -> Result<rt::Job, ApiError> {
        let name = self.named(name)?;
        match self.scheduler.get(name.clone(), Target::App).await {
            Ok(job) => Ok(shown(name, job)),
            Err(e) => {
                tracing::error!(target: SCOPE, "Error getting job {name} due to: {e}");
                Err(self.owner().get(&e))
            }
        }
    }

    /// Deletes a job, which need not be there.
    pub(crate) async fn delete(&self, name: String) -> Result<(), ApiError> {
        let name = self.named(name)?;
        let deleted = self.scheduler.delete(name.clone(), Target::App).await;
        deleted.map_err(|e| {
            tracing::error!(target: SCOPE, "Error deleting job: {name} due to: {e}");
            self.owner().delete(&e)
        })
    }

    /// Deletes the jobs whose names begin so: all, when the prefix is empty.
    pub(crate) async fn delete_by_prefix(&self, prefix: String) -> Result<(), ApiError> {
        let deleted = self.scheduler.delete_by_name_prefix(prefix, Target::App);
        deleted.await.map_err(|e| {
            tracing::error!(target: SCOPE, "Error deleting jobs by prefix due to: {e}");
            self.owner().delete(&e)
        })
    }

    pub(crate) async fn list(&self) -> Result<Vec<rt::Job>, ApiError> {
        let listed = self.scheduler.list(Target::App).await.map_err(|e| {
            tracing::error!(target: SCOPE, "Error listing jobs due to: {e}");
            self.owner().list(&e)
        })?;
        let jobs = listed
            .into_iter()
            .map(|listed| shown(listed.name, listed.job.unwrap_or_default()));
        Ok(jobs.collect())
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            app_id: &self.app_id,
            namespace: &self.namespace,
        }
    }

    fn named(&self, name: String) -> Result<String, ApiError> {
        if name.trim().is_empty() {
            tracing::error!(target: SCOPE, "Job name is empty.");
            return Err(self.owner().name_empty());
        }
        Ok(name)
    }
}

/// A stored job as its app sees it.
fn shown(name: String, job: wire::Job) -> rt::Job {
    rt::Job {
        name,
        schedule: job.schedule,
        repeats: job.repeats,
        due_time: job.due_time,
        ttl: job.ttl,
        data: job.data,
        failure_policy: job.failure_policy,
    }
}

#[cfg(test)]
mod tests;
