//! Scheduling jobs, and reading them.

use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use proto::dapr::scheduler::v1::{
    GetJobRequest, GetJobResponse, ListJobsRequest, ListJobsResponse, NamedJob, ScheduleJobRequest,
};
use tonic::{Extensions, Status};

use super::{SCOPE, Service};
use crate::records::{self, target};
use crate::store::{Command, Key, Outcome};

impl Service {
    pub(super) async fn schedule(
        &self,
        extensions: &Extensions,
        request: ScheduleJobRequest,
    ) -> Result<(), Status> {
        let kind = target::label(request.metadata.as_ref());
        let name = request.name.clone();
        let done = self.scheduled(extensions, request).await;
        match &done {
            Ok(()) => self.metrics.created.with(&[kind]).inc(),
            Err(e) => {
                self.metrics.not_created.with(&[kind]).inc();
                let text = e.message();
                tracing::error!(target: SCOPE, "error scheduling job {name}: {text}");
            }
        }
        done
    }

    async fn scheduled(
        &self,
        extensions: &Extensions,
        request: ScheduleJobRequest,
    ) -> Result<(), Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let refused = |e: records::Refused| Status::unknown(e.to_string());
        let key = key(&target::prefix(&metadata)?, &request.name);
        records::check_key(&key).map_err(refused)?;
        let job = request.job.unwrap_or_default();
        let job = records::accept(job, &metadata, Timestamp::now()).map_err(refused)?;
        let command = Command::Put {
            key: key.clone(),
            job: Box::new(job),
            overwrite: request.overwrite,
        };
        match self.store.apply(command).await? {
            Outcome::Exists => Err(Status::already_exists(format!(
                "job already exists: '{key}'"
            ))),
            Outcome::Done | Outcome::Changed => Ok(()),
        }
    }

    pub(super) async fn get(
        &self,
        extensions: &Extensions,
        request: GetJobRequest,
    ) -> Result<GetJobResponse, Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let name = request.name;
        let key = key(&target::prefix(&metadata)?, &name);
        records::check_key(&key).map_err(|e| Status::unknown(e.to_string()))?;
        let mut found = self
            .store
            .read(vec![key])
            .await
            .inspect_err(|e| tracing::error!(target: SCOPE, "error getting job {name}: {e}"))?;
        let Some(Some(record)) = found.pop() else {
            return Err(Status::not_found(format!("job not found: {name}")));
        };
        Ok(GetJobResponse {
            job: Some(records::show(*record.job)),
        })
    }

    pub(super) async fn list(
        &self,
        extensions: &Extensions,
        request: ListJobsRequest,
    ) -> Result<ListJobsResponse, Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let prefix = target::prefix_of_all(&metadata, false)?;
        let mut pages = self.store.list(prefix);
        let mut jobs: Vec<NamedJob> = Vec::new();
        while let Some(page) = pages.try_next().await? {
            jobs.extend(page.into_iter().filter_map(records::show_named));
        }
        Ok(ListJobsResponse { jobs })
    }
}

pub(super) fn key(prefix: &str, name: &str) -> Key {
    Arc::from(format!("{prefix}{name}"))
}
