//! OpenTelemetry's messages, as far as our spans fill them. The numbers are
//! those of the public OTLP specification.

use std::sync::Arc;

use prost::Message;

use super::SCOPE;
use crate::settings::Resource;
use crate::span::{self, Record};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Attributed>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attributed {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(enumeration = "Kind", tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "10")]
    pub(super) dropped_attributes_count: u32,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(super) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

/// All of our values are texts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(string, optional, tag = "1")]
    pub(super) string_value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub(super) code: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StatusCode {
    Unset = 0,
    Ok = 1,
    Error = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
}

/// The message of one batch.
pub(super) fn encode(records: &[Arc<Record>], resource: &Resource) -> Vec<u8> {
    let attributes = resource.attributes.iter().cloned();
    let name = ("service.name".to_owned(), resource.service_name.clone());
    let spans = ScopeSpans {
        scope: Some(Scope { name: SCOPE.into() }),
        spans: records.iter().map(|record| span(record)).collect(),
    };
    let request = ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Attributed {
                attributes: std::iter::once(name)
                    .chain(attributes)
                    .map(key_value)
                    .collect(),
            }),
            scope_spans: vec![spans],
        }],
    };
    request.encode_to_vec()
}

/// How many spans a successful answer refuses. One that cannot be read refuses
/// none: the collector said that it has them.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportResponse::decode(answer).unwrap_or_default();
    let rejected = answer
        .partial_success
        .map_or(0, |partial| partial.rejected_spans);
    u64::try_from(rejected).unwrap_or(0)
}

fn span(record: &Record) -> Span {
    let attributes = record.attributes.iter();
    let pairs = attributes.map(|(key, value)| (key.clone().into_owned(), value.clone()));
    Span {
        trace_id: record.trace_id.to_vec(),
        span_id: record.span_id.to_vec(),
        trace_state: record.state.as_ref().map_or("", |s| s.as_str()).to_owned(),
        parent_span_id: record.parent_id.map_or_else(Vec::new, |id| id.to_vec()),
        name: record.name.clone(),
        kind: kind(record.kind).into(),
        start_time_unix_nano: record.start,
        end_time_unix_nano: record.end,
        attributes: pairs.map(key_value).collect(),
        dropped_attributes_count: record.left_out,
        status: record.error.as_ref().map(|message| Status {
            message: message.clone(),
            code: StatusCode::Error.into(),
        }),
        flags: record.flags.into(),
    }
}

fn kind(kind: span::Kind) -> Kind {
    match kind {
        span::Kind::Internal => Kind::Internal,
        span::Kind::Server => Kind::Server,
        span::Kind::Client => Kind::Client,
        span::Kind::Producer => Kind::Producer,
        span::Kind::Consumer => Kind::Consumer,
    }
}

fn key_value((key, value): (String, String)) -> KeyValue {
    KeyValue {
        key,
        value: Some(AnyValue {
            string_value: Some(value),
        }),
    }
}
