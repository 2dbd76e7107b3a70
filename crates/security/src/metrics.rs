//! The counts of certificates, under upstream's names.

use std::sync::Arc;

use jiff::Timestamp;
use service::metrics::{Counter, Family, Gauge, Registry};

/// What happened to the identity of one app.
#[derive(Clone)]
pub(crate) struct Metrics {
    app_id: String,
    families: Option<Arc<Families>>,
}

struct Families {
    init: Family<Counter>,
    init_failed: Family<Counter>,
    rotated: Family<Counter>,
    request_failed: Family<Counter>,
    expiry: Family<Gauge>,
}

impl Metrics {
    pub(crate) fn new(registry: Option<&Registry>, app_id: &str) -> Self {
        let families = registry.map(|registry| {
            let name = |name| format!("runtime/mtls/{name}");
            let counter = |suffix, help, labels: &[&'static str]| {
                registry.counter(&name(suffix), help, labels)
            };
            Arc::new(Families {
                init: counter(
                    "init_total",
                    "Number of times mTLS was set up.",
                    &["app_id"],
                ),
                init_failed: counter(
                    "init_fail_total",
                    "Number of times mTLS could not be set up.",
                    &["app_id", "reason"],
                ),
                rotated: counter(
                    "workload_cert_rotated_total",
                    "Number of certificates that replaced an older one.",
                    &["app_id"],
                ),
                request_failed: counter(
                    "workload_cert_rotated_fail_total",
                    "Number of failed requests for a certificate.",
                    &["app_id", "reason"],
                ),
                expiry: registry.gauge(
                    &name("workload_cert_expiry_timestamp"),
                    "When the present certificate ends, in seconds since the Unix epoch.",
                    &["app_id"],
                ),
            })
        });
        Self {
            app_id: app_id.to_owned(),
            families,
        }
    }

    /// The first certificate is there; it is valid until `end`.
    pub(crate) fn initialized(&self, end: Timestamp) {
        if let Some(families) = &self.families {
            families.init.with(&[&self.app_id]).inc();
            self.ends(families, end);
        }
    }

    /// There is no first certificate.
    pub(crate) fn not_initialized(&self, reason: &str) {
        if let Some(families) = &self.families {
            families.init_failed.with(&[&self.app_id, reason]).inc();
        }
    }

    /// A newer certificate is in use.
    pub(crate) fn rotated(&self, end: Timestamp) {
        if let Some(families) = &self.families {
            families.rotated.with(&[&self.app_id]).inc();
            self.ends(families, end);
        }
    }

    /// A request failed.
    pub(crate) fn request_failed(&self, reason: &str) {
        if let Some(families) = &self.families {
            families.request_failed.with(&[&self.app_id, reason]).inc();
        }
    }

    fn ends(&self, families: &Families, end: Timestamp) {
        let seconds = end.as_second() as f64;
        families.expiry.with(&[&self.app_id]).set(seconds);
    }
}
