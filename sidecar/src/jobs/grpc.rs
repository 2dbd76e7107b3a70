//! Jobs over gRPC.

use proto::dapr::runtime::v1 as rt;
use tonic::Status;

use super::Jobs;

pub(crate) async fn schedule(
    jobs: &Jobs,
    req: rt::ScheduleJobRequest,
) -> Result<rt::ScheduleJobResponse, Status> {
    jobs.schedule(req.job, req.overwrite).await?;
    Ok(rt::ScheduleJobResponse {})
}

pub(crate) async fn get(jobs: &Jobs, req: rt::GetJobRequest) -> Result<rt::GetJobResponse, Status> {
    let job = Some(jobs.get(req.name).await?);
    Ok(rt::GetJobResponse { job })
}

pub(crate) async fn delete(
    jobs: &Jobs,
    req: rt::DeleteJobRequest,
) -> Result<rt::DeleteJobResponse, Status> {
    jobs.delete(req.name).await?;
    Ok(rt::DeleteJobResponse {})
}

/// For both generations of the call, whose messages differ in name only.
pub(crate) async fn delete_by_prefix<A: Default>(
    jobs: &Jobs,
    prefix: Option<String>,
) -> Result<A, Status> {
    jobs.delete_by_prefix(prefix.unwrap_or_default()).await?;
    Ok(A::default())
}

pub(crate) async fn list(jobs: &Jobs) -> Result<Vec<rt::Job>, Status> {
    Ok(jobs.list().await?)
}
