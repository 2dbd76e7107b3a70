//! The loaded HTTP middlewares and the pipelines that are built of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::Component;
use resources::configuration::Handler;

use crate::api::middleware::Middleware;
use crate::api::pipeline::Pipeline;

const SCOPE: &str = "dapr.middleware.http";

pub(super) struct Chains {
    pipelines: Vec<(Pipeline, &'static str, Vec<Handler>)>,
    loaded: BTreeMap<String, Loaded>,
}

struct Loaded {
    kind: String,
    version: String,
    middleware: Arc<Middleware>,
}

impl Chains {
    pub(super) fn new(pipelines: Vec<(Pipeline, &'static str, Vec<Handler>)>) -> Self {
        Self {
            pipelines,
            loaded: BTreeMap::new(),
        }
    }

    pub(super) fn put(&mut self, component: &Component, middleware: Arc<Middleware>) {
        let (name, spec) = (&component.metadata.name, &component.spec);
        let (kind, version) = (&spec.component_type, &spec.version);
        tracing::info!(target: SCOPE, "Adding {kind}/{version} {name} middleware");
        let loaded = Loaded {
            kind: kind.to_ascii_lowercase(),
            version: named_version(version).to_ascii_lowercase(),
            middleware,
        };
        self.loaded.insert(name.clone(), loaded);
    }

    /// Whether there was one of this name.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(gone) = self.loaded.remove(name) else {
            return false;
        };
        let (kind, version) = (gone.kind, gone.version);
        tracing::info!(target: SCOPE, "Removing {kind}/{version} {name} middleware");
        true
    }

    /// Handlers whose component is not loaded are left out without a word.
    pub(super) fn build(&self) {
        for (pipeline, name, handlers) in &self.pipelines {
            if handlers.is_empty() {
                continue;
            }
            tracing::info!(target: SCOPE, "Building pipeline {name}");
            let found = handlers.iter().filter_map(|h| self.find(h));
            pipeline.replace(found.collect());
        }
    }

    fn find(&self, handler: &Handler) -> Option<Arc<Middleware>> {
        let loaded = self.loaded.get(&handler.name)?;
        let same = loaded.kind.eq_ignore_ascii_case(&handler.handler_type)
            && loaded
                .version
                .eq_ignore_ascii_case(named_version(&handler.version));
        same.then(|| loaded.middleware.clone())
    }
}

fn named_version(version: &str) -> &str {
    if version.is_empty() { "v1" } else { version }
}
