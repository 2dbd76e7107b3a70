//! Errors of the jobs block.

use std::collections::BTreeMap;

use http::StatusCode;
use tonic::Code;

use super::{BAD_REQUEST, INTERNAL};
use crate::api::error::{ApiError, Detail};
use crate::scheduler::Error;

/// Whose jobs they are, as every error tells.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) namespace: &'a str,
}

impl Owner<'_> {
    fn error(
        self,
        code: &'static str,
        (http, grpc): (StatusCode, Code),
        message: impl Into<String>,
    ) -> ApiError {
        let metadata = [("appID", self.app_id), ("namespace", self.namespace)];
        rich(code, (http, grpc), message, &metadata)
    }

    fn refused(self, code: &'static str, message: &str) -> ApiError {
        self.error(code, (BAD_REQUEST, Code::InvalidArgument), message)
    }

    fn failed(self, code: &'static str, verb: &str, cause: &Error) -> ApiError {
        let message = format!("failed to {verb} due to: {cause}");
        self.error(code, (INTERNAL, Code::Internal), message)
    }

    pub(crate) fn empty(self) -> ApiError {
        self.refused("DAPR_SCHEDULER_EMPTY", "Job is empty")
    }

    pub(crate) fn name_empty(self) -> ApiError {
        self.refused("DAPR_SCHEDULER_JOB_NAME_EMPTY", "Name is empty")
    }

    pub(crate) fn schedule_empty(self) -> ApiError {
        self.refused("DAPR_SCHEDULER_SCHEDULE_EMPTY", "Schedule is empty")
    }

    /// Of the four, only this one shows what the scheduler's code says.
    pub(crate) fn schedule(self, cause: &Error) -> ApiError {
        let code = match cause.code() {
            Code::Unknown => Code::Internal,
            code => code,
        };
        ApiError {
            http: http_status(code),
            grpc: code,
            ..self.failed("DAPR_SCHEDULER_SCHEDULE_JOB", "schedule job", cause)
        }
    }

    pub(crate) fn get(self, cause: &Error) -> ApiError {
        self.failed("DAPR_SCHEDULER_GET_JOB", "get job", cause)
    }

    pub(crate) fn list(self, cause: &Error) -> ApiError {
        self.failed("DAPR_SCHEDULER_LIST_JOBS", "list jobs", cause)
    }

    pub(crate) fn delete(self, cause: &Error) -> ApiError {
        self.failed("DAPR_SCHEDULER_DELETE_JOB", "delete job", cause)
    }
}

/// The name is in the body as well.
pub(crate) fn name_twice(app_id: &str) -> ApiError {
    let code = (BAD_REQUEST, Code::InvalidArgument);
    let message = "Set the job name in the url only";
    rich(
        "DAPR_SCHEDULER_JOB_NAME",
        code,
        message,
        &[("appID", app_id)],
    )
}

fn rich(
    code: &'static str,
    (http, grpc): (StatusCode, Code),
    message: impl Into<String>,
    metadata: &[(&str, &str)],
) -> ApiError {
    let metadata = metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let details = vec![Detail::ErrorInfo {
        reason: code.into(),
        metadata: Some(metadata.collect::<BTreeMap<_, _>>()),
    }];
    ApiError::rich(code, http, grpc, message, details)
}

/// How an HTTP client sees a code that the scheduler answered.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => INTERNAL,
    }
}
