//! Metadata over HTTP. Zero values are left out, names are those of old clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use proto::dapr::runtime::v1 as rt;
use serde::Serialize;

use super::Metadata;
use crate::api::body;
use crate::api::error::json_response;
use crate::api::errors::{body_read, unclassified};
use crate::api::http::{Group, Routes};
use crate::api::json;
use crate::api::router::{Call, on};

const V1: Group = Group::new("metadata", "v1");

pub(crate) fn routes(metadata: Metadata) -> Routes {
    let metadata = Arc::new(metadata);
    Routes::new()
        .add(V1, "/v1.0/metadata", on(&metadata).get(show))
        .add(V1, "/v1.0/metadata/{key}", on(&metadata).put(set))
}

async fn set(metadata: Arc<Metadata>, call: Call) -> Result<Response, Response> {
    let key = call.param("key")?.into_owned();
    let value = body::read(call.req.into_body())
        .await
        .map_err(|e| body_read(&e.to_string()).into_response())?;
    metadata.set(key, String::from_utf8_lossy(&value).into_owned());
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(metadata: Arc<Metadata>, _: Call) -> Response {
    match json::to_vec(&Document::from(metadata.get())) {
        Ok(mut body) => {
            body.push(b'\n');
            json_response(StatusCode::OK, body)
        }
        Err(e) => unclassified(e.to_string()).into_response(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    id: String,
    runtime_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enabled_features: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actors: Vec<Active>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extended: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_endpoints: Vec<Named>,
    app_connection_properties: App,
    actor_runtime: Actors,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resiliencies: Vec<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<Scheduler>,
}

/// Its field keeps its name.
#[derive(Serialize)]
struct Scheduler {
    connected_addresses: Vec<String>,
}

#[derive(Serialize)]
struct Component {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
}

#[derive(Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct App {
    #[serde(skip_serializing_if = "is_zero")]
    port: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    protocol: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    channel_address: String,
    #[serde(skip_serializing_if = "is_zero")]
    max_concurrency: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    #[serde(skip_serializing_if = "String::is_empty")]
    health_check_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    health_probe_interval: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    health_probe_timeout: String,
    #[serde(skip_serializing_if = "is_zero")]
    health_threshold: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Actors {
    runtime_status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_actors: Vec<Active>,
    host_ready: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    placement: String,
}

#[derive(Serialize)]
struct Active {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "is_zero")]
    count: i32,
}

fn active(counts: Vec<rt::ActiveActorsCount>) -> Vec<Active> {
    let counts = counts.into_iter().map(|c| Active {
        kind: c.r#type,
        count: c.count,
    });
    counts.collect()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl From<rt::GetMetadataResponse> for Document {
    #[allow(deprecated)] // The old list of actors is there for old clients.
    fn from(m: rt::GetMetadataResponse) -> Self {
        let components = m.registered_components.into_iter().map(|c| Component {
            name: c.name,
            kind: c.r#type,
            version: c.version,
            capabilities: c.capabilities,
        });
        let app = m.app_connection_properties.unwrap_or_default();
        let actors = m.actor_runtime.unwrap_or_default();
        Self {
            id: m.id,
            runtime_version: m.runtime_version,
            enabled_features: m.enabled_features,
            actors: active(m.active_actors_count),
            components: components.collect(),
            extended: m.extended_metadata,
            http_endpoints: m
                .http_endpoints
                .into_iter()
                .map(|e| Named { name: e.name })
                .collect(),
            app_connection_properties: App {
                port: app.port,
                protocol: app.protocol,
                channel_address: app.channel_address,
                max_concurrency: app.max_concurrency,
                health: app.health.map(|h| Health {
                    health_check_path: h.health_check_path,
                    health_probe_interval: h.health_probe_interval,
                    health_probe_timeout: h.health_probe_timeout,
                    health_threshold: h.health_threshold,
                }),
            },
            actor_runtime: Actors {
                runtime_status: rt::actor_runtime::ActorRuntimeStatus::try_from(
                    actors.runtime_status,
                )
                .map_or("", |s| s.as_str_name()),
                active_actors: active(actors.active_actors),
                host_ready: actors.host_ready,
                placement: actors.placement,
            },
            scheduler: m.scheduler.map(|s| Scheduler {
                connected_addresses: s.connected_addresses,
            }),
            resiliencies: m
                .resiliencies
                .into_iter()
                .map(|r| Named { name: r.name })
                .collect(),
        }
    }
}
