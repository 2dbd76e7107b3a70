//! API errors by their code.

use service::metrics::{Counter, Family, Registry};

/// `dapr_error_code_total`, with `spec.metrics.recordErrorCodes`.
#[derive(Clone)]
pub(crate) struct ErrorCodes {
    app_id: String,
    total: Family<Counter>,
}

impl ErrorCodes {
    pub(crate) fn new(registry: &Registry, app_id: &str) -> Self {
        let labels = &["app_id", "category", "error_code"];
        let total = registry.counter("error_code/total", "Number of API errors by code.", labels);
        Self {
            app_id: app_id.into(),
            total,
        }
    }

    pub(super) fn record(&self, code: &str) {
        if let Some(category) = category(code) {
            self.total.with(&[&self.app_id, category, code]).inc();
        }
    }
}

fn category(code: &str) -> Option<&'static str> {
    let starts = [
        ("ERR_STATE", "state"),
        ("ERR_NOT_SUPPORTED_STATE", "state"),
        ("ERR_SECRET", "secret"),
        ("ERR_PERMISSION_DENIED", "secret"),
        ("ERR_ACTOR", "actor"),
        ("ERR_PUB", "pubsub"),
        ("ERR_TOPIC", "pubsub"),
        ("ERR_CONFIGURATION", "configuration"),
        ("ERR_CRYPTO", "crypto"),
        ("ERR_LOCK", "lock"),
        ("ERR_TRY_LOCK", "lock"),
        ("ERR_UNLOCK", "lock"),
        ("ERR_CONVERSATION", "conversation"),
        ("ERR_DIRECT_INVOKE", "service-invocation"),
        ("ERR_INVOKE_OUTPUT", "binding"),
        ("ERR_HEALTH", "health"),
        ("ERR_OUTBOUND", "health"),
        ("DAPR_SCHEDULER", "job"),
        ("ERR_WORKFLOW", "workflow"),
        ("ERR_INSTANCE", "workflow"),
        ("ERR_", "common"),
    ];
    starts
        .into_iter()
        .find(|(start, _)| code.starts_with(start))
        .map(|(_, category)| category)
}
