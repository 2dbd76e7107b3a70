//! Counters of loaded and failed components, under upstream's names.

use std::sync::Arc;

use resources::Component;
use service::metrics::{Counter, Family, Registry};

/// The counters of one sidecar.
#[derive(Clone)]
pub(crate) struct Counts {
    loaded: Family<Counter>,
    opened: Family<Counter>,
    failed: Family<Counter>,
    app_id: Arc<str>,
}

impl Counts {
    pub(crate) fn new(registry: &Registry, app_id: &str) -> Self {
        let counter = |name: &str, help, labels: &[&'static str]| {
            registry.counter(&format!("runtime/component/{name}"), help, labels)
        };
        Self {
            loaded: counter("loaded", "Components accepted for loading.", &["app_id"]),
            opened: counter(
                "init_total",
                "Components initialised.",
                &["app_id", "component"],
            ),
            failed: counter(
                "init_fail_total",
                "Components that could not be created or initialised.",
                &["app_id", "component", "componentName", "reason"],
            ),
            app_id: app_id.into(),
        }
    }

    pub(super) fn opened(&self, component: &Component) {
        self.loaded.with(&[&self.app_id]).inc();
        self.opened
            .with(&[&self.app_id, &component.spec.component_type])
            .inc();
    }

    /// `reason` is `creation` or `init`.
    pub(super) fn failed(&self, component: &Component, reason: &str) {
        let (kind, name) = (&component.spec.component_type, &component.metadata.name);
        self.failed.with(&[&self.app_id, kind, name, reason]).inc();
    }
}
