//! What metrics want to know of policies.

/// The labels of one observation, as the metrics `dapr_resiliency_*` have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a> {
    /// Name of the resource that was read last.
    pub name: &'a str,
    /// Namespace of the resource that was read last.
    pub namespace: &'a str,
    /// [`TIMEOUT`](Self::TIMEOUT), [`RETRY`](Self::RETRY) or
    /// [`CIRCUIT_BREAKER`](Self::CIRCUIT_BREAKER).
    pub policy: &'static str,
    /// `inbound` or `outbound`.
    pub flow_direction: &'static str,
    /// `app_<app id>`, `actor_<type>`, or for example `Statestore_<component>`.
    pub target: &'a str,
    /// The state of a circuit breaker, one of [`STATUSES`](Self::STATUSES); else empty.
    pub status: &'static str,
}

impl Labels<'_> {
    /// The policy label of timeouts.
    pub const TIMEOUT: &'static str = "timeout";
    /// The policy label of retries.
    pub const RETRY: &'static str = "retry";
    /// The policy label of circuit breakers.
    pub const CIRCUIT_BREAKER: &'static str = "circuitbreaker";
    /// The statuses of which `dapr_resiliency_cb_state` has a series each.
    pub const STATUSES: [&'static str; 4] = ["closed", "half-open", "open", "unknown"];
}

/// Is told what policies do. Built-in policies are not observed.
pub trait Observer: Send + Sync {
    /// A run began that has such a policy: `dapr_resiliency_count`.
    fn executed(&self, labels: Labels<'_>);

    /// A policy took effect: the first timeout and the first retry of a run, and
    /// each call that changed a breaker's state: `dapr_resiliency_activations_total`.
    fn activated(&self, labels: Labels<'_>);

    /// A breaker has the state `labels.status`: `dapr_resiliency_cb_state` is 1
    /// for it and 0 for the other statuses.
    fn breaker_state(&self, labels: Labels<'_>);
}
