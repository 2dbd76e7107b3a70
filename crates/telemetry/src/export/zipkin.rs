//! Zipkin's spans, version 2 in JSON, mapped as OpenTelemetry maps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Failure, SCOPE};
use crate::settings::Resource;
use crate::span::{Kind, Record};

/// The attribute that names who is called.
const PEER: &str = "net.peer.name";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Microseconds of Unix time.
    timestamp: u64,
    duration: u64,
    local_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<Endpoint<'a>>,
    tags: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    service_name: &'a str,
}

/// The list of one batch.
pub(super) fn encode(records: &[Arc<Record>], resource: &Resource) -> Result<Vec<u8>, Failure> {
    let spans: Vec<_> = records
        .iter()
        .map(|record| span(record, resource))
        .collect();
    serde_json::to_vec(&spans).map_err(|e| Failure {
        reason: format!("cannot write spans as JSON: {e}"),
        retry: None,
    })
}

fn span<'a>(record: &'a Record, resource: &'a Resource) -> Span<'a> {
    let resource_tags = resource
        .attributes
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()));
    let own_tags = record
        .attributes
        .iter()
        .map(|(k, v)| (k.as_ref(), v.as_str()));
    let mut tags: BTreeMap<_, _> = resource_tags.chain(own_tags).collect();
    tags.insert("otel.scope.name", SCOPE);
    if let Some(error) = &record.error {
        tags.insert("otel.status_code", "ERROR");
        tags.insert("error", error);
    }
    let calls = matches!(record.kind, Kind::Client | Kind::Producer);
    let peer = tags.get(PEER).copied().filter(|_| calls);
    Span {
        trace_id: hex::encode(record.trace_id),
        id: hex::encode(record.span_id),
        parent_id: record.parent_id.map(hex::encode),
        name: &record.name,
        kind: kind(record.kind),
        timestamp: record.start / 1000,
        // Zipkin takes 0 for unknown.
        duration: ((record.end - record.start) / 1000).max(1),
        local_endpoint: Endpoint {
            service_name: &resource.service_name,
        },
        remote_endpoint: peer.map(|service_name| Endpoint { service_name }),
        tags,
    }
}

fn kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Internal => None,
        Kind::Server => Some("SERVER"),
        Kind::Client => Some("CLIENT"),
        Kind::Producer => Some("PRODUCER"),
        Kind::Consumer => Some("CONSUMER"),
    }
}
