//! What to say when the API server does not do what it is asked for.

use anyhow::{Error, anyhow};

const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;

/// Something that was asked of the API server.
pub(super) struct Deed<'a> {
    verb: &'a str,
    what: &'a str,
    place: &'a str,
}

impl<'a> Deed<'a> {
    /// For example: get, Secret x, namespace y.
    pub(super) fn new(verb: &'a str, what: &'a str, place: &'a str) -> Self {
        Self { verb, what, place }
    }

    /// Why it was not done, and what to do about it.
    pub(super) fn failed(&self, error: &k8s::Error) -> Error {
        let Self { verb, what, place } = self;
        match error {
            k8s::Error::Refused {
                code: UNAUTHORIZED,
                message,
            } => anyhow!(
                "the cluster does not accept the credentials of your kubeconfig ({message}); log \
                 in to it again"
            ),
            k8s::Error::Refused {
                code: FORBIDDEN,
                message,
            } => anyhow!(
                "you may not {verb} {what} in {place} ({message}); use the kubeconfig of \
                 somebody who may, or have an administrator allow it"
            ),
            k8s::Error::Conflict(message) => anyhow!(
                "{what} in {place} was changed at the same time ({message}), perhaps by Sentry; \
                 run the command again"
            ),
            k8s::Error::NotFound(message) => anyhow!(
                "{what} is not in {place} ({message}), though the chart of Dapr makes it; install \
                 or upgrade the chart"
            ),
            k8s::Error::Unreachable(_) | k8s::Error::Late => anyhow!(
                "cannot {verb} {what}: {error}; `kubectl cluster-info` shows where the cluster is \
                 looked for"
            ),
            error => anyhow!("cannot {verb} {what} in {place}: {error}"),
        }
    }
}
