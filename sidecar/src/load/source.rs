//! The folder as a source of resources: what of it is for this sidecar.

use std::path::PathBuf;

use resources::load::{Cause, Loaded, Problem, read_folders};
use resources::{Component, HttpEndpoint, Object, Resiliency, Resource, select};

/// The resources of this sidecar, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Set {
    pub(super) components: Vec<Component>,
    pub(super) http_endpoints: Vec<HttpEndpoint>,
    pub(super) resiliencies: Vec<Resiliency>,
    /// The Subscriptions that are there; reading them is for the messaging block.
    pub(super) subscriptions: Vec<String>,
}

/// Reads the folders; the problems of files and documents are reported and left
/// behind. The error is a text of the start's fatal line.
pub(super) fn read(folders: &[PathBuf], app_id: &str, namespace: &str) -> Result<Set, String> {
    let Loaded {
        resources,
        problems,
    } = read_folders(folders).map_err(|e| format!("failed to load components: {e}"))?;
    problems.iter().for_each(report);
    let mut components = Vec::new();
    let mut set = Set::default();
    for located in resources {
        match located.resource {
            Resource::Component(c) => components.push(*c),
            Resource::HttpEndpoint(e) => set.http_endpoints.push(*e),
            Resource::Resiliency(r) => set.resiliencies.push(*r),
            Resource::Subscription(s) => set.subscriptions.push(s.metadata.name),
            Resource::Configuration(_)
            | Resource::McpServer(_)
            | Resource::WorkflowAccessPolicy(_) => {}
        }
    }
    let fail = |e: resources::Duplicate| format!("failed to load components: {e}");
    set.components = select(components, app_id, namespace).map_err(fail)?;
    set.http_endpoints = select(set.http_endpoints, app_id, namespace).map_err(fail)?;
    set.resiliencies = select(set.resiliencies, app_id, namespace).map_err(fail)?;
    Ok(set)
}

fn report(problem: &Problem) {
    let path = problem.file.display();
    let kind = problem.kind.map_or("Component", resources::Kind::as_str);
    match &problem.cause {
        Cause::NotYaml => tracing::warn!(
            target: "dapr.runtime.loader.disk",
            "A non-YAML {kind} file {} was detected, it will not be loaded",
            problem.file.file_name().unwrap_or_default().to_string_lossy()
        ),
        Cause::Unreadable(e) => tracing::warn!(
            target: "dapr.runtime.loader.disk",
            "daprd load {kind} error when opening file {path}: {e}"
        ),
        Cause::Malformed(_) | Cause::Invalid(_) => tracing::warn!(
            target: "dapr.runtime.loader.disk",
            "daprd load {kind} error when parsing manifests yaml resource in {path}: {problem}"
        ),
    }
}

impl Set {
    /// Whether something differs that is read only when the runtime starts.
    pub(super) fn needs_restart(&self, other: &Self) -> bool {
        self.http_endpoints != other.http_endpoints || self.resiliencies != other.resiliencies
    }

    pub(super) fn names<T: Object>(objects: &[T]) -> Vec<String> {
        objects.iter().map(|o| o.meta().name.clone()).collect()
    }
}
