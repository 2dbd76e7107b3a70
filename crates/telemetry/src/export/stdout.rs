//! A log line per span, in upstream's words.

use std::sync::Arc;

use jiff::Timestamp;

use crate::span::Record;

const LOG: &str = "dapr.runtime.trace";

pub(super) fn write(records: &[Arc<Record>]) {
    for record in records {
        service::log::api_log(LOG, &line(record), &[]);
    }
}

/// Upstream shows a span's events behind `Annotations`; our spans have none.
pub(super) fn line(record: &Record) -> String {
    format!(
        "[{}] Trace: {} Span: {}/{} Time: [{} ->  {}] Annotations: []",
        record.name,
        hex::encode(record.trace_id),
        hex::encode(record.parent_id.unwrap_or_default()),
        hex::encode(record.span_id),
        time(record.start),
        time(record.end),
    )
}

/// As Go prints a time.
fn time(nanos: u64) -> String {
    let time = Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}
