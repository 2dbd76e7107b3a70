//! What is measured of actors, under upstream's names.

use std::sync::Arc;

use actors::observer::Observer;
use service::metrics::{Counter, Family, Gauge, Registry};

/// The series of every actor type.
pub(crate) struct ActorMetrics {
    app_id: String,
    pending: Family<Gauge>,
    halted: Family<Counter>,
    deactivated: Family<Counter>,
    failed: Family<Counter>,
    reminders: Family<Counter>,
    fired: Family<Counter>,
    timers: Family<Gauge>,
}

impl ActorMetrics {
    pub(crate) fn shared(registry: &Registry, app_id: &str) -> Arc<dyn Observer> {
        let labels = &["actor_type", "app_id"];
        let fired = &["actor_type", "app_id", "success"];
        let name = |name: &str| format!("runtime/actor/{name}");
        Arc::new(Self {
            app_id: app_id.to_owned(),
            pending: registry.gauge(
                &name("pending_actor_calls"),
                "Number of calls that wait for their turn.",
                labels,
            ),
            halted: registry.counter(
                &name("rebalanced_total"),
                "Number of actors that were let go.",
                labels,
            ),
            deactivated: registry.counter(
                &name("deactivated_total"),
                "Number of actors that the app deactivated.",
                labels,
            ),
            failed: registry.counter(
                &name("deactivated_failed_total"),
                "Number of actors that the app failed to deactivate.",
                labels,
            ),
            reminders: registry.counter(
                &name("reminders_fired_total"),
                "Number of reminders given to the app.",
                fired,
            ),
            fired: registry.counter(
                &name("timers_fired_total"),
                "Number of timers given to the app.",
                fired,
            ),
            timers: registry.gauge(&name("timers"), "Number of timers.", labels),
        })
    }
}

fn word(success: bool) -> &'static str {
    if success { "true" } else { "false" }
}

impl Observer for ActorMetrics {
    fn pending(&self, kind: &str, change: i64) {
        self.pending.with(&[kind, &self.app_id]).add(change as f64);
    }

    fn halted(&self, kind: &str) {
        self.halted.with(&[kind, &self.app_id]).inc();
    }

    fn deactivated(&self, kind: &str, success: bool) {
        let counter = if success {
            &self.deactivated
        } else {
            &self.failed
        };
        counter.with(&[kind, &self.app_id]).inc();
    }

    fn reminder_fired(&self, kind: &str, success: bool) {
        let labels = [kind, &self.app_id, word(success)];
        self.reminders.with(&labels).inc();
    }

    fn timer_fired(&self, kind: &str, success: bool) {
        self.fired.with(&[kind, &self.app_id, word(success)]).inc();
    }

    fn timers(&self, kind: &str, count: usize) {
        self.timers.with(&[kind, &self.app_id]).set(count as f64);
    }
}
