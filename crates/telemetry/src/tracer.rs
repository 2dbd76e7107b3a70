//! Where spans begin.

use std::sync::Arc;

use service::Tasks;
use service::metrics::Registry;

use crate::queue::{self, Queue};
use crate::settings::Settings;
use crate::span::{Kind, Span};
use crate::{Sampler, TraceContext, batch, export};

/// Starts spans and hands them to the exporters; clones are the same tracer.
///
/// There is none when tracing is off, so that nothing is paid for it then.
#[derive(Clone)]
pub struct Tracer {
    sampler: Sampler,
    passive: bool,
    queues: Arc<[Queue]>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer")
            .field("sampler", &self.sampler)
            .field("exporters", &self.queues.len())
            .finish()
    }
}

impl Tracer {
    /// A tracer and a task for each of its exporters.
    ///
    /// The tasks should belong to a group that is asked to end after the last
    /// request: spans that end later are lost. What is queued at that moment
    /// has three seconds to be delivered.
    pub fn start_exporters(settings: Settings, registry: &Registry, tasks: &Tasks) -> Self {
        let (sampler, passive) = (settings.sampler, settings.passive);
        let exporters = export::open(settings, tasks);
        let queues = exporters.into_iter().map(|exporter| {
            let (queue, outlet) = queue::queue(exporter.name(), registry);
            batch::spawn(exporter, outlet, tasks);
            queue
        });
        Self {
            sampler,
            passive,
            queues: queues.collect(),
        }
    }

    /// Which traces are recorded.
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// Starts a span under `parent`, or a trace of its own.
    ///
    /// A passive tracer makes no ids: its callers are seen as the parents of whatever
    /// comes after it, as no span in between will ever be found.
    ///
    /// The name is made only for a span that is recorded: one that is sampled
    /// while there is an exporter.
    pub fn start(
        &self,
        parent: Option<&TraceContext>,
        kind: Kind,
        name: impl FnOnce() -> String,
    ) -> Span {
        if self.passive {
            return Span::unsampled(parent.cloned());
        }
        let trace_id = parent.map_or_else(
            || nonzero(rand::random::<u128>).to_be_bytes(),
            |p| p.trace_id,
        );
        let mut context = TraceContext {
            trace_id,
            span_id: nonzero(rand::random::<u64>).to_be_bytes(),
            flags: parent.map_or(0, |parent| parent.flags),
            state: parent.and_then(|parent| parent.state.clone()),
        };
        context.set_sampled(self.sampler.decide(parent, trace_id));
        if !context.is_sampled() || self.queues.is_empty() {
            return Span::unsampled(Some(context));
        }
        Span::sampled(context, parent, kind, name(), self.queues.clone())
    }
}

/// Zero is no id.
fn nonzero<T: Default + PartialEq>(next: impl Fn() -> T) -> T {
    loop {
        let id = next();
        if id != T::default() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::attributes::Hop;

    fn tracer(tracing: serde_json::Value) -> (Tracer, Tasks, Registry) {
        let tracing = serde_json::from_value(tracing).unwrap();
        let settings = Settings::read(&tracing, |_| None, "app").unwrap().unwrap();
        let (tasks, registry) = (Tasks::new(), Registry::new(&[]));
        (
            Tracer::start_exporters(settings, &registry, &tasks),
            tasks,
            registry,
        )
    }

    fn parent(flags: &str) -> TraceContext {
        let text = format!("00-{}-{}-{flags}", "1".repeat(32), "2".repeat(16));
        let mut parent = TraceContext::parse(&text).unwrap();
        parent.state = crate::TraceState::parse(["a=1"]);
        parent
    }

    #[tokio::test]
    async fn a_span_continues_the_trace_of_its_parent() {
        let (tracer, ..) = tracer(json!({"samplingRate": "1"}));
        for flags in ["00", "01"] {
            let parent = parent(flags);
            let span = tracer.start(Some(&parent), Kind::Server, || "never".into());
            let context = span.context().unwrap();
            assert_eq!(context.trace_id, parent.trace_id);
            assert_ne!(context.span_id, parent.span_id);
            assert_eq!(
                (context.flags, &context.state),
                (parent.flags, &parent.state)
            );
        }
    }

    #[tokio::test]
    async fn a_span_without_a_parent_begins_a_trace() {
        for (rate, sampled) in [("1", true), ("-1", false)] {
            let (tracer, ..) = tracer(json!({"samplingRate": rate}));
            let one = tracer.start(None, Kind::Client, String::new);
            let two = tracer.start(None, Kind::Client, String::new);
            let (one, two) = (one.context().unwrap(), two.context().unwrap());
            assert_ne!(one.trace_id, two.trace_id);
            assert_ne!(one.span_id, two.span_id);
            assert_eq!(one.is_sampled(), sampled);
            assert_eq!(TraceContext::parse(&one.traceparent()).as_ref(), Some(one));
        }
    }

    #[tokio::test]
    async fn a_tracer_that_nobody_configured_hands_contexts_on_as_they_come() {
        let (tracer, ..) = tracer(json!({}));
        assert_eq!(
            tracer.start(None, Kind::Client, String::new).context(),
            None
        );
        let parent = parent("01");
        let span = tracer.start(Some(&parent), Kind::Server, || unreachable!("no record"));
        assert_eq!(span.context(), Some(&parent));
        assert!(!span.is_recording());
    }

    #[tokio::test]
    async fn without_an_exporter_there_is_neither_a_task_nor_a_record() {
        let (tracer, tasks, registry) = tracer(json!({"samplingRate": "1"}));
        assert!(tasks.running().is_empty());
        assert_eq!(registry.render(), "");
        let mut span = tracer.start(None, Kind::Client, || unreachable!("nobody reads it"));
        assert!(span.context().unwrap().is_sampled() && !span.is_recording());
        span.record(|_| unreachable!("nobody reads it"));
    }

    #[tokio::test]
    async fn an_unsampled_span_records_nothing() {
        let (tracer, ..) = tracer(json!({"samplingRate": "1", "stdout": true}));
        let unsampled = parent("00");
        let mut span = tracer.start(Some(&unsampled), Kind::Client, || {
            unreachable!("not sampled")
        });
        span.record(|_| unreachable!("not sampled"));
        span.set("a", "b");
        assert!(!span.is_recording());
        let sampled = tracer.start(Some(&parent("01")), Kind::Client, || "name".into());
        assert!(sampled.is_recording());
    }

    #[tokio::test]
    async fn a_record_keeps_bounded_attributes_and_the_last_value() {
        let (tracer, ..) = tracer(json!({"samplingRate": "1", "stdout": true}));
        let mut span = Hop::Delivery { topic: "t" }.start(&tracer, None);
        span.set("empty", "");
        span.set("__dapr.internal", "x");
        span.set("a", "1");
        span.set("a", "2");
        span.status(None::<&str>);
        span.record(|record| {
            let found: Vec<_> = record
                .attributes
                .iter()
                .map(|(k, v)| (k.as_ref(), v.as_str()))
                .collect();
            let delivery = [
                ("messaging.system", "pubsub"),
                ("messaging.destination.name", "t"),
            ];
            assert_eq!(found, [&delivery[..], &[("a", "2")]].concat());
            assert_eq!(
                (record.name.as_str(), record.error.as_deref()),
                ("pubsub/t", None)
            );
            record.rename("é".repeat(4000));
            record.status(Some("x".repeat(5000)));
            record.set("long", format!("x{}", "é".repeat(4000)));
            record.extend((0..200).map(|i| (format!("k{i}"), "v".to_owned())));
            assert_eq!((record.attributes.len(), record.left_out), (128, 76));
            assert_eq!(record.name.len(), 4096);
            assert_eq!(record.error.as_ref().unwrap().len(), 4096);
            assert_eq!(record.attributes[3].1.len(), 4095);
            assert!(record.size() > 3 * 4095);
        });
    }
}
