//! Jobs that are due, on their way to the app.

use std::time::Instant;

use async_trait::async_trait;
use axum::body::Body;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use percent_encoding::utf8_percent_encode;
use proto::dapr::common::v1 as common;
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::runtime::v1 as rt;
use proto::dapr::runtime::v1::app_callback_alpha_client::AppCallbackAlphaClient;
use proto::dapr::runtime::v1::app_callback_client::AppCallbackClient;
use telemetry::attributes::{grpc_error, http_error};
use telemetry::{Kind, Span, Tracer};
use tonic::Code;

use super::metrics::JobMetrics;
use super::value;
use crate::app::{self, App, AppChannel};
use crate::invoke::grpc::code_of_http;
use crate::invoke::local::PATH;
use crate::scheduler::{self, JobTrigger, Outcome};

const SCOPE: &str = "dapr.runtime.scheduler.cluster";
/// As much of an answer is read, so that its connection can be used again.
const ANSWER: usize = 1 << 20;

/// Calls the app for each job.
pub(crate) struct Events {
    pub(crate) app: App,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) metrics: Option<JobMetrics>,
}

#[async_trait]
impl scheduler::Jobs for Events {
    async fn job(&self, job: JobTrigger) -> Outcome {
        let (start, name) = (Instant::now(), job.name.clone());
        let span = self
            .tracer
            .as_ref()
            .map(|tracer| tracer.start(None, Kind::Client, || format!("job/{name}")));
        let is_grpc = self.app.protocol().is_some_and(app::Protocol::is_grpc);
        let answered = if is_grpc {
            self.over_grpc(job, span).await
        } else {
            self.over_http(job, span).await
        };
        let outcome = match answered {
            Ok(Code::Ok) => Outcome::Success,
            Ok(code @ Code::NotFound) => {
                let code = i32::from(code);
                tracing::error!(target: SCOPE, "non-retriable error returned from app while processing triggered job {name}. status code returned: {code}");
                Outcome::Success
            }
            Ok(code) => {
                let code = i32::from(code);
                tracing::error!(target: SCOPE, "unexpected status code returned from app while processing triggered job {name}. status code returned: {code}");
                Outcome::Failed
            }
            Err(e) => {
                tracing::error!(target: SCOPE, "failed to invoke schedule app job: {e}");
                Outcome::Failed
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.record(outcome, start.elapsed());
        }
        outcome
    }
}

impl Events {
    async fn over_http(&self, job: JobTrigger, span: Option<Span>) -> Result<Code, app::Error> {
        let name = job.name.strip_prefix('/').unwrap_or(&job.name);
        let path = format!("/job/{}", utf8_percent_encode(name, PATH));
        let mut req = Request::post(path)
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )
            .body(Body::from(value::body(job.data)))
            .map_err(|e| app::Error::Unreachable(format!("job '{name}' has no path: {e}")))?;
        if let Some(context) = span.as_ref().and_then(Span::context) {
            telemetry::headers::to_http(context, req.headers_mut());
        }
        let response = self.app.send(req).await?;
        let status = response.status();
        // What the answer says beyond its status interests nobody.
        let _ = Limited::new(response.into_body(), ANSWER).collect().await;
        if let Some(mut span) = span {
            span.status(http_error(status.as_u16()));
        }
        Ok(match status {
            status if status.is_success() => Code::Ok,
            StatusCode::NOT_FOUND => Code::NotFound,
            status => code_of_http(status.as_u16()),
        })
    }

    async fn over_grpc(&self, job: JobTrigger, span: Option<Span>) -> Result<Code, app::Error> {
        let (channel, permit) = self.app.grpc().await?;
        let event = rt::JobEventRequest {
            method: format!("job/{}", job.name),
            content_type: job
                .data
                .as_ref()
                .map(|d| d.type_url.clone())
                .unwrap_or_default(),
            name: job.name,
            data: job.data,
            http_extension: Some(common::HttpExtension {
                verb: Verb::Post.into(),
                querystring: String::new(),
            }),
        };
        let request = || {
            let mut request = tonic::Request::new(event.clone());
            let metadata = request.metadata_mut().as_mut();
            if let Some(context) = span.as_ref().and_then(Span::context) {
                telemetry::headers::to_grpc(context, metadata);
            }
            if let Some(token) = self.app.token() {
                metadata.insert(crate::api::auth::HEADER, token.clone());
            }
            request
        };
        let mut answered = stable(channel.clone()).on_job_event(request()).await;
        if answered
            .as_ref()
            .is_err_and(|status| status.code() == Code::Unimplemented)
        {
            // Older apps have the callback under its old name only.
            #[allow(deprecated)]
            let again = alpha(channel).on_job_event_alpha1(request()).await;
            answered = again;
        }
        drop(permit);
        let code = match &answered {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        };
        if let Some(mut span) = span {
            let message = answered
                .as_ref()
                .err()
                .map_or("", |status| status.message());
            span.status(grpc_error(code.into(), message));
        }
        Ok(code)
    }
}

/// Data was bounded where it came in.
fn stable(channel: AppChannel) -> AppCallbackClient<AppChannel> {
    AppCallbackClient::new(channel).max_encoding_message_size(usize::MAX)
}

fn alpha(channel: AppChannel) -> AppCallbackAlphaClient<AppChannel> {
    AppCallbackAlphaClient::new(channel).max_encoding_message_size(usize::MAX)
}
