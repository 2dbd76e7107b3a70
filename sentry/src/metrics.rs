//! The figures of Sentry.

use std::sync::Arc;

use service::metrics::{Counter, Gauge, Registry};

use crate::bundle::X509Bundle;

/// Handles of every series.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) received: Arc<Counter>,
    pub(crate) signed: Arc<Counter>,
    pub(crate) failed: Arc<Counter>,
    pub(crate) own_failed: Arc<Counter>,
    pub(crate) issuer_changed: Arc<Counter>,
    issuer_expiry: Arc<Gauge>,
    /// Ours: a root that a user provided is not replaced by anybody else.
    root_expiry: Arc<Gauge>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]).with(&[]);
        let gauge = |name, help| registry.gauge(name, help, &[]).with(&[]);
        Self {
            received: counter(
                "sentry/cert/sign/request_received_total",
                "The number of certificate requests received.",
            ),
            signed: counter(
                "sentry/cert/sign/success_total",
                "The number of certificates issued.",
            ),
            failed: registry
                .counter(
                    "sentry/cert/sign/failure_total",
                    "The number of requests that could not be signed.",
                    &["reason"],
                )
                .with(&["sign"]),
            own_failed: registry
                .counter(
                    "sentry/servercert/issue_failed_total",
                    "The number of times that Sentry's own certificate could not be issued.",
                    &["reason"],
                )
                .with(&[""]),
            issuer_changed: counter(
                "sentry/issuercert/changed_total",
                "The number of times that the issuer was made or changed.",
            ),
            issuer_expiry: gauge(
                "sentry/issuercert/expiry_timestamp",
                "The end of the issuer certificate in seconds since the epoch.",
            ),
            root_expiry: gauge(
                "sentry/rootcert/expiry_timestamp",
                "The end of the root that the issuer belongs to in seconds since the epoch.",
            ),
        }
    }

    /// Shows until when an authority lives.
    pub(crate) fn expiry(&self, bundle: &X509Bundle, now: i64) {
        // Seconds since the epoch are far below what a float counts exactly.
        self.issuer_expiry.set(bundle.issuer().not_after as f64);
        if let Some(root) = bundle.root(now) {
            self.root_expiry.set(root.not_after as f64);
        }
    }
}
