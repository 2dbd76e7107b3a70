//! A breaker that concurrent calls share: lock, clock and log around the machine.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::machine::{Machine, Refusal, Settings, State, Ticket};
use super::trip::Trip;

pub(crate) struct Breaker {
    name: String,
    trip: Trip,
    machine: Mutex<Machine>,
}

impl Breaker {
    pub(crate) fn new(name: String, settings: Settings, trip: Trip) -> Arc<Self> {
        let machine = Mutex::new(Machine::new(settings, now()));
        Arc::new(Self {
            name,
            trip,
            machine,
        })
    }

    pub(crate) fn state(&self) -> State {
        self.change(|machine, now| machine.state(now)).0
    }

    /// Begins a call.
    pub(crate) fn enter(&self) -> Result<Entry<'_>, Refusal> {
        let (ticket, _) = self.change(|machine, now| machine.enter(now));
        ticket.map(|ticket| Entry {
            breaker: self,
            ticket: Some(ticket),
        })
    }

    /// Runs an event; the new state comes along when the event itself changed it.
    fn change<R>(&self, event: impl FnOnce(&mut Machine, Instant) -> R) -> (R, Option<State>) {
        let now = now();
        let mut machine = self.machine.lock();
        let idle = machine.last_state();
        let before = machine.state(now);
        let result = event(&mut machine, now);
        let after = machine.state(now);
        drop(machine);
        self.log(idle, before);
        self.log(before, after);
        (result, (before != after).then_some(after))
    }

    fn log(&self, from: State, to: State) {
        if from != to {
            let (name, from, to) = (&self.name, from.as_str(), to.as_str());
            tracing::info!(
                target: "dapr.runtime",
                "Circuit breaker \"{name}\" changed state from {from} to {to}"
            );
        }
    }
}

/// A call under way; dropped without a result, it gives its place back.
pub(crate) struct Entry<'a> {
    breaker: &'a Breaker,
    ticket: Option<Ticket>,
}

impl Entry<'_> {
    /// Ends the call; returns the breaker's state when this changed it.
    pub(crate) fn end(mut self, success: bool) -> Option<State> {
        let ticket = self.ticket.take()?;
        let trip = &self.breaker.trip;
        let (_, changed) = self.breaker.change(|machine, now| match success {
            true => machine.success(ticket, now),
            false => machine.failure(ticket, now, |counts| trip.is_met(counts)),
        });
        changed
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker
                .change(|machine, now| machine.abandon(ticket, now));
        }
    }
}

/// By tokio's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
