//! What metrics want to know of actors.

/// Is told what happens to the actors of this sidecar; each call names the actor type.
pub trait Observer: Send + Sync {
    /// A call began to wait for its turn (1) or ended it (-1): `pending_actor_calls`.
    fn pending(&self, kind: &str, change: i64);

    /// An actor was let go, for whatever reason: `rebalanced_total`.
    fn halted(&self, kind: &str);

    /// The app was told of it: `deactivated_total`, or `deactivated_failed_total` when
    /// it did not take it.
    fn deactivated(&self, kind: &str, success: bool);

    /// A reminder was delivered to the app: `reminders_fired_total`.
    fn reminder_fired(&self, kind: &str, success: bool);

    /// A timer was delivered to the app: `timers_fired_total`.
    fn timer_fired(&self, kind: &str, success: bool);

    /// So many timers the type has now: `timers`.
    fn timers(&self, kind: &str, count: usize);
}

/// Nobody measures.
impl Observer for () {
    fn pending(&self, _: &str, _: i64) {}
    fn halted(&self, _: &str) {}
    fn deactivated(&self, _: &str, _: bool) {}
    fn reminder_fired(&self, _: &str, _: bool) {}
    fn timer_fired(&self, _: &str, _: bool) {}
    fn timers(&self, _: &str, _: usize) {}
}
