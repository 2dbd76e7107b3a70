//! Jobs over HTTP, in proto3's JSON form.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use prost_types::{Any, Duration};
use proto::dapr::common::v1 as common;
use proto::dapr::common::v1::job_failure_policy::Policy;
use proto::dapr::runtime::v1 as rt;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Jobs;
use super::value::Json;
use crate::api::body;
use crate::api::error::json_response;
use crate::api::errors::{body_read, jobs as errors, malformed, unclassified};
use crate::api::http::{Group, Routes};
use crate::api::json;
use crate::api::router::{Call, on};

pub(crate) fn routes(jobs: &Jobs) -> Routes {
    let (jobs, mut routes) = (Arc::new(jobs.clone()), Routes::new());
    for (path, version) in [("v1.0", "v1"), ("v1.0-alpha1", "v1alpha1")] {
        let verbs = on(&jobs).get(show).post(schedule).delete(delete);
        routes = routes.add(
            Group::new("jobs", version),
            format!("/{path}/jobs/{{name}}"),
            verbs,
        );
    }
    routes
}

async fn schedule(jobs: Arc<Jobs>, call: Call) -> Result<Response, Response> {
    let name = call.param("name")?.into_owned();
    let body = body::read(call.req.into_body())
        .await
        .map_err(|e| body_read(&e.to_string()).into_response())?;
    let wanted = read(&body).map_err(|e| malformed(&e).into_response())?;
    if wanted.name.is_some_and(|name| !name.is_empty()) {
        return Err(errors::name_twice(&jobs.app_id).into_response());
    }
    let data = wanted.data.map(Json::into_any).transpose();
    let job = rt::Job {
        name,
        schedule: wanted.schedule,
        repeats: wanted.repeats.map(|repeats| repeats.0),
        due_time: wanted.due_time,
        ttl: wanted.ttl,
        data: data.map_err(|e| malformed(&e).into_response())?,
        failure_policy: wanted.failure_policy.and_then(FailurePolicy::into_wire),
    };
    let scheduled = jobs
        .schedule(Some(job), wanted.overwrite.unwrap_or(false))
        .await;
    scheduled.map_err(IntoResponse::into_response)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(jobs: Arc<Jobs>, call: Call) -> Result<Response, Response> {
    let name = call.param("name")?.into_owned();
    let job = jobs.get(name).await.map_err(IntoResponse::into_response)?;
    let body = json::to_vec(&Shown::from(job));
    let body = body.map_err(|e| unclassified(e.to_string()).into_response())?;
    Ok(json_response(StatusCode::OK, body))
}

async fn delete(jobs: Arc<Jobs>, call: Call) -> Result<Response, Response> {
    let name = call.param("name")?.into_owned();
    jobs.delete(name)
        .await
        .map_err(IntoResponse::into_response)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// An empty body counts as an empty object.
pub(super) fn read(body: &[u8]) -> Result<Wanted, String> {
    if body.is_empty() {
        return Ok(Wanted::default());
    }
    // serde would take a list for the fields in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err("the body is a list; send an object".into());
    }
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// The body of a new job; names may be those of the fields in the proto file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wanted {
    name: Option<String>,
    schedule: Option<String>,
    repeats: Option<Repeats>,
    #[serde(alias = "due_time")]
    due_time: Option<String>,
    ttl: Option<String>,
    /// `null` is a value, too.
    #[serde(deserialize_with = "present")]
    data: Option<Json>,
    overwrite: Option<bool>,
    #[serde(alias = "failure_policy")]
    failure_policy: Option<FailurePolicy>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// A number, as such or as text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Repeats(u32);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u32),
            Text(String),
        }
        let number = match Form::deserialize(deserializer) {
            Ok(Form::Number(number)) => Some(number),
            Ok(Form::Text(text)) => text.parse().ok(),
            Err(_) => None,
        };
        let refused = || D::Error::custom("repeats and maxRetries are whole numbers of 32 bits");
        number.map(Self).ok_or_else(refused)
    }
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
struct FailurePolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<Drop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constant: Option<Constant>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
struct Drop {}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct Constant {
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Interval>,
    #[serde(alias = "max_retries", skip_serializing_if = "Option::is_none")]
    max_retries: Option<Repeats>,
}

/// Seconds with their unit, such as `1.5s`.
#[derive(Debug, PartialEq)]
struct Interval(Duration);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(format!(
                "'{text}' is no duration; give seconds, such as 1.5s"
            ))
        })
    }
}

impl Serialize for Interval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl FailurePolicy {
    /// An object without a member is no policy.
    fn into_wire(self) -> Option<common::JobFailurePolicy> {
        let policy = match (self.drop, self.constant) {
            (_, Some(constant)) => Policy::Constant(common::JobFailurePolicyConstant {
                interval: constant.interval.map(|interval| interval.0),
                max_retries: constant.max_retries.map(|retries| retries.0),
            }),
            (Some(Drop {}), None) => Policy::Drop(common::JobFailurePolicyDrop {}),
            (None, None) => return None,
        };
        let policy = Some(policy);
        Some(common::JobFailurePolicy { policy })
    }
}

impl From<common::JobFailurePolicy> for FailurePolicy {
    fn from(policy: common::JobFailurePolicy) -> Self {
        match policy.policy {
            None => Self::default(),
            Some(Policy::Drop(_)) => Self {
                drop: Some(Drop {}),
                constant: None,
            },
            Some(Policy::Constant(constant)) => Self {
                drop: None,
                constant: Some(Constant {
                    interval: constant.interval.map(Interval),
                    max_retries: constant.max_retries.map(Repeats),
                }),
            },
        }
    }
}

/// A job as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_policy: Option<FailurePolicy>,
}

/// What a job carries; bytes of a type that is not JSON are shown in base64.
#[derive(Serialize)]
struct Data {
    #[serde(rename = "@type")]
    kind: String,
    value: Content,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content {
    Json(Json),
    Bytes(String),
}

impl From<Any> for Data {
    fn from(any: Any) -> Self {
        let value = match Json::of_any(&any) {
            Some(value) => Content::Json(value),
            None => Content::Bytes(STANDARD.encode(any.value)),
        };
        Self {
            kind: any.type_url,
            value,
        }
    }
}

impl From<rt::Job> for Shown {
    fn from(job: rt::Job) -> Self {
        Self {
            name: job.name,
            schedule: job.schedule,
            repeats: job.repeats,
            due_time: job.due_time,
            ttl: job.ttl,
            data: job.data.map(Data::from),
            failure_policy: job.failure_policy.map(FailurePolicy::from),
        }
    }
}
