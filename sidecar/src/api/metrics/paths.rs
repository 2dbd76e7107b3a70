//! The labels of HTTP metrics that a client chooses: kept few.

mod pattern;

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use resources::configuration::HttpMetrics;

use self::pattern::Patterns;

/// Paths that every app has; kept on calls to it where others are not.
const STATIC: [&str; 4] = [
    "/dapr/config",
    "/dapr/metrics",
    "/dapr/subscribe",
    "/healthz",
];

/// `spec.metric.http` of the Configuration.
#[derive(Clone, Debug)]
pub(crate) struct Cardinality {
    /// Whether the `path` label is filled with what no pattern takes.
    pub(super) paths: bool,
    /// Whether the `method` label stays empty.
    no_verbs: bool,
    patterns: Option<Arc<Patterns>>,
}

impl Cardinality {
    pub(crate) fn new(settings: &HttpMetrics) -> Self {
        let patterns = &settings.path_matching;
        Self {
            paths: settings.increased_cardinality.unwrap_or(true),
            no_verbs: settings.exclude_verbs.unwrap_or(false),
            patterns: (!patterns.is_empty()).then(|| Arc::new(Patterns::new(patterns))),
        }
    }

    pub(crate) fn verb(&self, method: &Method) -> &'static str {
        if self.no_verbs { "" } else { verb(method) }
    }

    /// The `path` label of a request to the API.
    pub(super) fn of_api<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        if let Some(found) = self.patterns.as_ref().and_then(|p| p.find(path)) {
            return found.into();
        }
        if self.paths {
            shortened(path).into()
        } else {
            "".into()
        }
    }

    /// The `path` label of a call to the app.
    pub(crate) fn of_app<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        if !self.paths && self.patterns.is_none() && STATIC.contains(&path) {
            return path.into();
        }
        self.of_api(path)
    }
}

fn verb(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("UNKNOWN")
}

/// The path without what would make a series per key.
fn shortened(path: &str) -> String {
    // Most calls are those of the state API, whose labels are made with one copy.
    if let Some(end) = store_end(path) {
        return path[..end].to_owned();
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let joined = |parts: &[&str]| format!("/{}", parts.join("/"));
    match parts.as_slice() {
        ["actors", kind, _, rest @ ..] => {
            let mut out = vec!["actors", kind, "{id}"];
            out.extend(rest);
            out.join("/")
        }
        [version, block @ ("state" | "secrets"), store, ..] if version.starts_with('v') => {
            joined(&[version, block, store])
        }
        [version, "actors", kind, _, rest @ ..] if version.starts_with('v') => {
            let mut out = vec![*version, "actors", kind, "{id}"];
            out.extend(rest.first());
            joined(&out)
        }
        [version, "workflows", component, name, "start", ..] => {
            joined(&[version, "workflows", component, name, "start"])
        }
        [version, "workflows", component, _, "raiseEvent", ..] => joined(&[
            version,
            "workflows",
            component,
            "{instanceId}",
            "raiseEvent",
            "{eventName}",
        ]),
        [version, "workflows", component, _, rest @ ..] => {
            let mut out = vec![*version, "workflows", component, "{instanceId}"];
            out.extend(rest.first());
            joined(&out)
        }
        parts => joined(parts),
    }
}

/// Where the name of the store ends in `/v1.0/state/<store>/...`.
fn store_end(path: &str) -> Option<usize> {
    let rest = path.strip_prefix("/v1.0/state/")?;
    let name = rest.find('/').unwrap_or(rest.len());
    (name > 0).then(|| path.len() - rest.len() + name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shortened_to_what_is_bounded() {
        for (path, expected) in [
            ("/v1.0/state/s/k/more", "/v1.0/state/s"),
            ("/v1.0/secrets/s/k", "/v1.0/secrets/s"),
            ("/v1.0/metadata", "/v1.0/metadata"),
            ("//v1.0//healthz", "/v1.0/healthz"),
            ("/v1.0/actors/t/1/method/m", "/v1.0/actors/t/{id}/method"),
            ("actors/t/1/method/m", "actors/t/{id}/method/m"),
            (
                "/v1.0/workflows/dapr/name/start",
                "/v1.0/workflows/dapr/name/start",
            ),
            (
                "/v1.0/workflows/dapr/1/raiseEvent/e",
                "/v1.0/workflows/dapr/{instanceId}/raiseEvent/{eventName}",
            ),
            (
                "/v1.0/workflows/dapr/1/pause",
                "/v1.0/workflows/dapr/{instanceId}/pause",
            ),
        ] {
            assert_eq!(shortened(path), expected, "{path}");
        }
    }

    #[test]
    fn settings_decide_what_a_label_shows() {
        let cardinality = |increased: bool, patterns: &[&str], exclude_verbs: bool| {
            Cardinality::new(&HttpMetrics {
                increased_cardinality: Some(increased),
                path_matching: patterns.iter().map(|p| (*p).to_owned()).collect(),
                exclude_verbs: Some(exclude_verbs),
            })
        };
        let invoked = "/v1.0/invoke/a/method/orders/1";
        for (settings, path, api, app) in [
            (cardinality(true, &[], false), invoked, invoked, invoked),
            (cardinality(false, &[], false), invoked, "", ""),
            (cardinality(false, &[], false), "/healthz", "", "/healthz"),
            (cardinality(false, &["/x"], false), "/healthz", "", ""),
            (
                cardinality(false, &["/orders/{id}"], false),
                invoked,
                "/v1.0/invoke/{app_id}/method/orders/{id}",
                "/v1.0/invoke/{app_id}/method/orders/{id}",
            ),
            (
                cardinality(true, &["/orders/{id}"], false),
                "/v1.0/state/s/k",
                "/v1.0/state/s",
                "/v1.0/state/s",
            ),
        ] {
            assert_eq!(settings.of_api(path), api, "{settings:?} {path}");
            assert_eq!(settings.of_app(path), app, "{settings:?} {path}");
        }
        assert_eq!(cardinality(true, &[], true).verb(&Method::GET), "");
        let odd = Method::from_bytes(b"ODD").unwrap();
        assert_eq!(cardinality(true, &[], false).verb(&odd), "UNKNOWN");
    }
}
