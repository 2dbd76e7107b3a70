//! One timed operation.

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::queue::Queue;
use crate::{TraceContext, TraceState};

/// OpenTelemetry's default.
const MOST_ATTRIBUTES: usize = 128;
const LONGEST_TEXT: usize = 4096;
/// Upstream's own bookkeeping under this prefix is never exported.
const INTERNAL: &str = "__dapr.";

/// Which side of a call a span describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// A span under way. It ends when it is dropped, or by [`Span::end`].
///
/// A span that is not sampled has ids to hand on and records nothing. That of a passive
/// tracer has none of its own.
pub struct Span {
    context: Option<TraceContext>,
    recording: Option<Box<Recording>>,
}

struct Recording {
    record: Record,
    began: Instant,
    queues: Arc<[Queue]>,
}

/// What is known of a sampled span.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_id: Option<[u8; 8]>,
    pub(crate) flags: u8,
    pub(crate) state: Option<TraceState>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Nanoseconds of Unix time.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: Vec<(Cow<'static, str>, String)>,
    /// How many attributes did not fit.
    pub(crate) left_out: u32,
    pub(crate) error: Option<String>,
}

impl Span {
    pub(crate) fn unsampled(context: Option<TraceContext>) -> Self {
        Self {
            context,
            recording: None,
        }
    }

    pub(crate) fn sampled(
        context: TraceContext,
        parent: Option<&TraceContext>,
        kind: Kind,
        name: String,
        queues: Arc<[Queue]>,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = since.map_or(0, |since| since.as_nanos() as u64);
        let record = Record {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_id: parent.map(|parent| parent.span_id),
            flags: context.flags,
            state: context.state.clone(),
            name: bounded(name),
            kind,
            start,
            end: start,
            attributes: Vec::new(),
            left_out: 0,
            error: None,
        };
        let recording = Recording {
            record,
            began: Instant::now(),
            queues,
        };
        Self {
            context: Some(context),
            recording: Some(Box::new(recording)),
        }
    }

    /// What the next process gets to see of this span.
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Whether attributes are kept.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Runs `fill` on what is recorded, when something is.
    pub fn record(&mut self, fill: impl FnOnce(&mut Record)) {
        if let Some(recording) = &mut self.recording {
            fill(&mut recording.record);
        }
    }

    /// Sets an attribute; see [`Record::set`].
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.record(|record| record.set(key, value));
    }

    /// Marks the span as failed; `None` leaves it as it is.
    pub fn status<T: Into<String>>(&mut self, error: Option<T>) {
        self.record(|record| record.status(error));
    }

    /// Ends the span now.
    pub fn end(self) {}
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        let Recording {
            mut record,
            began,
            queues,
        } = *recording;
        let took = (began.elapsed().as_nanos() as u64).max(1);
        record.end = record.start.saturating_add(took);
        let record = Arc::new(record);
        for queue in queues.iter() {
            queue.push(&record);
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Span")
            .field("context", &self.context)
            .field("recording", &self.is_recording())
            .finish()
    }
}

impl Record {
    /// Replaces the name the span began with.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.name = bounded(name.into());
    }

    /// Sets an attribute, over an earlier one of the same key. Empty values and
    /// keys starting `__dapr.` are left out; a span has at most 128 attributes
    /// of 4 KiB, longer ones are cut.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        if value.is_empty() || key.starts_with(INTERNAL) {
            return;
        }
        let value = bounded(value);
        if let Some((_, old)) = self.attributes.iter_mut().find(|(k, _)| *k == key) {
            *old = value;
        } else if self.attributes.len() < MOST_ATTRIBUTES && key.len() <= LONGEST_TEXT {
            self.attributes.push((key, value));
        } else {
            self.left_out += 1;
        }
    }

    /// Sets several attributes.
    pub fn extend<K: Into<Cow<'static, str>>>(
        &mut self,
        attributes: impl IntoIterator<Item = (K, String)>,
    ) {
        for (key, value) in attributes {
            self.set(key, value);
        }
    }

    /// Marks the span as failed; `None` leaves it as it is.
    pub fn status<T: Into<String>>(&mut self, error: Option<T>) {
        if let Some(error) = error {
            self.error = Some(bounded(error.into()));
        }
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter();
        let texts = attributes.map(|(k, v)| k.len() + v.len() + size_of::<(Cow<str>, String)>());
        let error = self.error.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.name.len() + error + texts.sum::<usize>()
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.shrink_to_fit();
    }
    text
}
