//! What tests share: resources as text, and the log lines that code writes.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};

use resources::Resiliency;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::{Observer, Policies};

/// A place that logs remembers whether anybody listened when it was first come by, and
/// tests run side by side: somebody must listen before any of them comes by.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Lines::default());
    });
}

/// A resource called `name` with this spec.
pub(crate) fn resource(name: &str, spec: &str) -> Resiliency {
    listen();
    let mut object = Resiliency {
        spec: serde_saphyr::from_str(spec).unwrap(),
        ..Resiliency::default()
    };
    object.metadata.name = name.into();
    object.metadata.namespace = "test".into();
    object
}

/// Policies of one resource without faults.
pub(crate) fn policies(spec: &str) -> Policies {
    compile(spec, None)
}

pub(crate) fn observed(spec: &str, observer: Arc<dyn Observer>) -> Policies {
    compile(spec, Some(observer))
}

fn compile(spec: &str, observer: Option<Arc<dyn Observer>>) -> Policies {
    let objects = [resource("rules", spec)];
    Policies::compile(&objects, observer, &mut |fault| panic!("{fault}"))
}

/// Collects the log lines of this thread as `LEVEL target: message`.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dapr.")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}: ", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}
