//! The gRPC service: who may ask for what, and the answers of the store.

mod connections;
mod delete;
mod schedule;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use proto::dapr::scheduler::v1::scheduler_server::{Scheduler, SchedulerServer};
use proto::dapr::scheduler::v1::{
    DeleteByMetadataRequest, DeleteByMetadataResponse, DeleteByNamePrefixRequest,
    DeleteByNamePrefixResponse, DeleteJobRequest, DeleteJobResponse, GetJobRequest, GetJobResponse,
    JobMetadata, ListJobsRequest, ListJobsResponse, ScheduleJobRequest, ScheduleJobResponse,
    WatchHostsRequest, WatchHostsResponse, WatchJobsRequest, WatchJobsResponse,
};
use security::SpiffeId;
use service::Tasks;
use tonic::{Extensions, Request, Response, Status, Streaming};

use crate::engine::Handle;
use crate::hosts::Hosts;
use crate::metrics::Metrics;
use crate::records::target::NoTarget;
use crate::store::{Error, Store};

pub(crate) use connections::{DRAIN, serve};

const SCOPE: &str = "dapr.scheduler.server";
/// The largest message. Upstream takes two gigabytes, which one caller could
/// then have kept in memory.
const MOST_BYTES: usize = 64 << 20;

/// Who is at the other end of the connection of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Arc<SpiffeId>);

/// Serves `dapr.proto.scheduler.v1.Scheduler`.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cron: Handle,
    pub(crate) hosts: Hosts,
    pub(crate) metrics: Metrics,
    /// Whether callers have to be who they say they are.
    pub(crate) secured: bool,
    pub(crate) tasks: Tasks,
}

impl Service {
    /// The service with its limits.
    pub(crate) fn into_server(self) -> SchedulerServer<Self> {
        SchedulerServer::new(self)
            .max_decoding_message_size(MOST_BYTES)
            .max_encoding_message_size(usize::MAX)
    }

    /// Whether the caller may speak for this app.
    fn authorize(
        &self,
        extensions: &Extensions,
        namespace: &str,
        app_id: &str,
    ) -> Result<(), Status> {
        if namespace.is_empty() || app_id.is_empty() {
            return Err(Status::invalid_argument(
                "missing namespace or appID in request",
            ));
        }
        if !self.secured {
            return Ok(());
        }
        let caller = extensions.get::<Caller>();
        let Some(Caller(id)) = caller else {
            return Err(Status::unauthenticated(
                "failed to get identity from context",
            ));
        };
        if id.namespace != namespace || id.app_id != app_id {
            return Err(Status::permission_denied("identity does not match request"));
        }
        Ok(())
    }

    /// The metadata of a request whose caller may speak for its app.
    fn authorized(
        &self,
        extensions: &Extensions,
        metadata: Option<JobMetadata>,
    ) -> Result<JobMetadata, Status> {
        let metadata = metadata.unwrap_or_default();
        self.authorize(extensions, &metadata.namespace, &metadata.app_id)?;
        Ok(metadata)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unavailable(_) => Self::unavailable(text),
            Error::Full(_) => Self::resource_exhausted(text),
            Error::Failed(_) => Self::internal(text),
        }
    }
}

impl From<NoTarget> for Status {
    fn from(error: NoTarget) -> Self {
        Self::unknown(error.to_string())
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Scheduler for Service {
    type WatchJobsStream = BoxStream<'static, Result<WatchJobsResponse, Status>>;
    type WatchHostsStream = BoxStream<'static, Result<WatchHostsResponse, Status>>;

    async fn schedule_job(
        &self,
        request: Request<ScheduleJobRequest>,
    ) -> Answer<ScheduleJobResponse> {
        let (_, extensions, request) = request.into_parts();
        let done = self.schedule(&extensions, request).await;
        done.map(|()| Response::new(ScheduleJobResponse {}))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Answer<GetJobResponse> {
        let (_, extensions, request) = request.into_parts();
        self.get(&extensions, request).await.map(Response::new)
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        let (_, extensions, request) = request.into_parts();
        self.list(&extensions, request).await.map(Response::new)
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Answer<DeleteJobResponse> {
        let (_, extensions, request) = request.into_parts();
        let done = self.delete(&extensions, request).await;
        done.map(|()| Response::new(DeleteJobResponse {}))
    }

    async fn delete_by_metadata(
        &self,
        request: Request<DeleteByMetadataRequest>,
    ) -> Answer<DeleteByMetadataResponse> {
        let (_, extensions, request) = request.into_parts();
        let done = self.delete_by_target(&extensions, request).await;
        done.map(|()| Response::new(DeleteByMetadataResponse {}))
    }

    async fn delete_by_name_prefix(
        &self,
        request: Request<DeleteByNamePrefixRequest>,
    ) -> Answer<DeleteByNamePrefixResponse> {
        let (_, extensions, request) = request.into_parts();
        let done = self.delete_by_prefix(&extensions, request).await;
        done.map(|()| Response::new(DeleteByNamePrefixResponse {}))
    }

    async fn watch_jobs(
        &self,
        request: Request<Streaming<WatchJobsRequest>>,
    ) -> Answer<Self::WatchJobsStream> {
        let (_, extensions, messages) = request.into_parts();
        self.watch(&extensions, messages).await.map(Response::new)
    }

    async fn watch_hosts(&self, _: Request<WatchHostsRequest>) -> Answer<Self::WatchHostsStream> {
        Ok(Response::new(self.follow_hosts()))
    }
}
