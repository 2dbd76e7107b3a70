//! The folder as a source of resources: what of it is for this sidecar.

use std::path::PathBuf;

use resources::load::{Cause, Loaded, Located, Problem, read_folders};
use resources::{Component, HttpEndpoint, Kind, Object, Resiliency, Resource, select};

/// The resources of this sidecar, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Set {
    pub(super) components: Vec<Component>,
    pub(super) http_endpoints: Vec<HttpEndpoint>,
    pub(super) resiliencies: Vec<Resiliency>,
}

/// Where resources come from, and for whom.
pub(super) struct Source {
    pub(super) folders: Vec<PathBuf>,
    pub(super) app_id: String,
    pub(super) namespace: String,
    /// What was wrong the last time, so that it is told only once.
    pub(super) problems: Vec<Problem>,
}

impl Source {
    /// Reads the folders. The problems of files and documents are reported and
    /// left behind; the error is a text of the start's fatal line.
    pub(super) fn read(&mut self) -> Result<Set, String> {
        let Loaded {
            resources,
            problems,
        } = read_folders(&self.folders).map_err(|e| format!("failed to load components: {e}"))?;
        let known = std::mem::replace(&mut self.problems, problems);
        let fresh = self.problems.iter().filter(|p| !known.contains(p));
        fresh.for_each(report);
        self.sort(resources)
    }

    fn sort(&self, resources: Vec<Located>) -> Result<Set, String> {
        let (mut components, mut endpoints, mut set) = (Vec::new(), Vec::new(), Set::default());
        for located in resources {
            match located.resource {
                Resource::Component(c) => components.push(*c),
                Resource::HttpEndpoint(e) => endpoints.push(*e),
                // Of a Resiliency file upstream reads the first document only, and
                // for them neither namespaces nor repeated names count.
                Resource::Resiliency(r) if located.document == 0 && self.is_meant(&r.scopes) => {
                    set.resiliencies.push(*r);
                }
                _ => {}
            }
        }
        set.components = select(components, &self.app_id, &self.namespace)
            .map_err(|e| format!("failed to load components: {e}"))?;
        match select(endpoints, &self.app_id, &self.namespace) {
            Ok(endpoints) => set.http_endpoints = endpoints,
            Err(e) => {
                tracing::warn!(target: "dapr.runtime", "failed to load HTTP endpoints: {e}");
            }
        }
        Ok(set)
    }

    fn is_meant(&self, scopes: &[String]) -> bool {
        scopes.is_empty() || scopes.contains(&self.app_id)
    }
}

const DISK: &str = "dapr.runtime.loader.disk";

fn report(problem: &Problem) {
    let path = problem.file.display();
    let kind = problem.kind.unwrap_or(Kind::Component);
    match &problem.cause {
        Cause::NotYaml => {
            let file = problem.file.file_name().unwrap_or_default();
            let file = file.to_string_lossy();
            // Once per kind, as upstream reads a folder once per kind.
            for kind in [
                Kind::Component,
                Kind::HttpEndpoint,
                Kind::Subscription,
                Kind::McpServer,
                Kind::WorkflowAccessPolicy,
            ] {
                tracing::warn!(target: DISK, "A non-YAML {kind} file {file} was detected, it will not be loaded");
            }
            tracing::warn!(target: "dapr.runtime", "A non-YAML resiliency file {file} was detected, it will not be loaded");
        }
        Cause::Unreadable(e) => {
            tracing::warn!(target: DISK, "daprd load {kind} error when opening file {path}: {e}");
        }
        Cause::Invalid(e) if kind == Kind::WorkflowAccessPolicy => tracing::warn!(
            target: "dapr.runtime",
            "WorkflowAccessPolicy {:?} failed validation, skipping: {e}", problem.name
        ),
        Cause::Malformed(_) if kind == Kind::Resiliency => {
            tracing::error!(target: "dapr.runtime", "Could not parse resiliency file {path}: {problem}");
        }
        Cause::Malformed(_) | Cause::Invalid(_) => tracing::warn!(
            target: DISK,
            "daprd load {kind} error when parsing manifests yaml resource in {path}: {problem}"
        ),
    }
}

/// The first object that differs, and how: what hot reload's lines name.
pub(super) fn difference<T: Object>(old: &[T], new: &[T]) -> Option<(String, &'static str)> {
    let find = |list: &[T], name: &str| list.iter().find(|o| o.meta().name == name).cloned();
    for object in new {
        let name = &object.meta().name;
        match find(old, name) {
            None => return Some((name.clone(), "CREATED")),
            Some(before) if before != *object => return Some((name.clone(), "UPDATED")),
            Some(_) => {}
        }
    }
    let gone = old.iter().map(|o| &o.meta().name);
    gone.into_iter()
        .find(|name| find(new, name).is_none())
        .map(|name| (name.clone(), "DELETED"))
}

pub(super) fn names<T: Object>(objects: &[T]) -> Vec<String> {
    objects.iter().map(|o| o.meta().name.clone()).collect()
}
