//! The states of a circuit breaker, driven by events with their times.

use std::time::{Duration, Instant};

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All calls pass.
    Closed,
    /// No call passes.
    Open,
    /// A few calls pass, to see how they go.
    HalfOpen,
}

impl State {
    /// Its name in log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What happened since the state began or, while closed, since the interval began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that passed, those under way included.
    pub requests: u64,
    /// Calls that went well.
    pub total_successes: u64,
    /// Calls that failed.
    pub total_failures: u64,
    /// Successes since the last failure.
    pub consecutive_successes: u64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
}

/// What a breaker is made of, besides the condition that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Calls let through while half-open, and successes that close it; at least 1.
    pub max_requests: u64,
    /// How often the counters start anew while closed; zero means never.
    pub interval: Duration,
    /// How long it stays open.
    pub timeout: Duration,
}

/// Why a call did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker is open.
    Open,
    /// As many calls as may are under way or done in half-open.
    TooManyRequests,
}

/// The right to one call; it goes back by `success`, `failure` or `abandon`.
#[derive(Debug)]
#[must_use = "a ticket that is not returned takes a place for good"]
pub struct Ticket {
    generation: u64,
}

/// One circuit breaker.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    state: State,
    counts: Counts,
    /// Counts the resets of the counters: tickets of earlier ones say nothing any more.
    generation: u64,
    /// When the state (open) or the counting interval (closed) ends.
    ends: Option<Instant>,
}

impl Machine {
    /// A closed breaker.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut machine = Self {
            settings,
            state: State::Closed,
            counts: Counts::default(),
            generation: 0,
            ends: None,
        };
        machine.change(State::Closed, now);
        machine
    }

    /// The state at `now`.
    pub fn state(&mut self, now: Instant) -> State {
        if self.ends.is_some_and(|end| now >= end) {
            let next = match self.state {
                State::Open => State::HalfOpen,
                state => state,
            };
            self.change(next, now);
        }
        self.state
    }

    /// The state as of the last event.
    pub fn last_state(&self) -> State {
        self.state
    }

    /// The counters as of the last event.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Asks to make a call.
    pub fn enter(&mut self, now: Instant) -> Result<Ticket, Refusal> {
        match self.state(now) {
            State::Open => return Err(Refusal::Open),
            State::HalfOpen if self.counts.requests >= self.settings.max_requests => {
                return Err(Refusal::TooManyRequests);
            }
            _ => {}
        }
        self.counts.requests += 1;
        Ok(Ticket {
            generation: self.generation,
        })
    }

    /// A call went well.
    pub fn success(&mut self, ticket: Ticket, now: Instant) {
        if !self.is_current(ticket, now) {
            return;
        }
        let counts = &mut self.counts;
        counts.total_successes += 1;
        counts.consecutive_successes += 1;
        counts.consecutive_failures = 0;
        if self.state == State::HalfOpen
            && counts.consecutive_successes >= self.settings.max_requests
        {
            self.change(State::Closed, now);
        }
    }

    /// A call failed; `trips` decides whether these counters open a closed breaker.
    pub fn failure(&mut self, ticket: Ticket, now: Instant, trips: impl FnOnce(&Counts) -> bool) {
        if !self.is_current(ticket, now) {
            return;
        }
        let counts = &mut self.counts;
        counts.total_failures += 1;
        counts.consecutive_failures += 1;
        counts.consecutive_successes = 0;
        if self.state == State::HalfOpen || trips(counts) {
            self.change(State::Open, now);
        }
    }

    /// A call was given up before it ended: it is as if it had never entered.
    pub fn abandon(&mut self, ticket: Ticket, now: Instant) {
        if self.is_current(ticket, now) {
            self.counts.requests -= 1;
        }
    }

    #[allow(clippy::needless_pass_by_value)] // A ticket is used once.
    fn is_current(&mut self, ticket: Ticket, now: Instant) -> bool {
        self.state(now);
        ticket.generation == self.generation
    }

    fn change(&mut self, state: State, now: Instant) {
        self.state = state;
        self.counts = Counts::default();
        self.generation += 1;
        self.ends = match state {
            State::Closed if self.settings.interval.is_zero() => None,
            State::Closed => now.checked_add(self.settings.interval),
            State::Open => now.checked_add(self.settings.timeout),
            State::HalfOpen => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn machine(max_requests: u64, interval: u64, timeout: u64, now: Instant) -> Machine {
        let settings = Settings {
            max_requests,
            interval: SECOND * interval as u32,
            timeout: SECOND * timeout as u32,
        };
        Machine::new(settings, now)
    }

    fn after(failures: u64) -> impl Fn(&Counts) -> bool {
        move |counts| counts.consecutive_failures >= failures
    }

    fn fail(machine: &mut Machine, now: Instant, trips: impl Fn(&Counts) -> bool) {
        let ticket = machine.enter(now).unwrap();
        machine.failure(ticket, now, trips);
    }

    fn succeed(machine: &mut Machine, now: Instant) {
        let ticket = machine.enter(now).unwrap();
        machine.success(ticket, now);
    }

    #[test]
    fn failures_open_it_and_successes_close_it_again() {
        let now = Instant::now();
        let mut it = machine(2, 0, 10, now);
        fail(&mut it, now, after(2));
        succeed(&mut it, now);
        fail(&mut it, now, after(2));
        assert_eq!(it.state(now), State::Closed);
        fail(&mut it, now, after(2));
        assert_eq!(it.state(now), State::Open);
        assert_eq!(it.enter(now).unwrap_err(), Refusal::Open);
        let later = now + SECOND * 10;
        assert_eq!(
            it.state(later - Duration::from_nanos(1)),
            State::Open,
            "not before its time"
        );
        let (first, second) = (it.enter(later).unwrap(), it.enter(later).unwrap());
        assert_eq!(it.state(later), State::HalfOpen);
        assert_eq!(it.enter(later).unwrap_err(), Refusal::TooManyRequests);
        it.success(first, later);
        assert_eq!(it.state(later), State::HalfOpen);
        it.success(second, later);
        assert_eq!(it.state(later), State::Closed);
        assert_eq!(it.counts(), Counts::default());
    }

    #[test]
    fn one_failure_in_half_open_opens_it_whatever_the_condition() {
        let now = Instant::now();
        let mut it = machine(3, 0, 10, now);
        fail(&mut it, now, after(1));
        let later = now + SECOND * 10;
        succeed(&mut it, later);
        fail(&mut it, later, |_| false);
        assert_eq!(it.state(later), State::Open);
        assert_eq!(
            it.state(later + SECOND * 9),
            State::Open,
            "its time begins anew"
        );
    }

    #[test]
    fn the_interval_forgets_what_was_counted_and_calls_from_before() {
        let now = Instant::now();
        let mut it = machine(1, 5, 10, now);
        fail(&mut it, now, after(2));
        let ticket = it.enter(now).unwrap();
        let later = now + SECOND * 5;
        it.failure(ticket, later, after(2));
        assert_eq!(it.state(later), State::Closed);
        assert_eq!(it.counts(), Counts::default());
    }

    #[test]
    fn a_call_from_before_it_opened_does_not_close_it() {
        let now = Instant::now();
        let mut it = machine(1, 0, 10, now);
        let slow = it.enter(now).unwrap();
        fail(&mut it, now, after(1));
        let later = now + SECOND * 10;
        assert_eq!(it.state(later), State::HalfOpen);
        it.success(slow, later);
        assert_eq!(it.state(later), State::HalfOpen);
    }

    #[test]
    fn an_abandoned_call_gives_its_place_back() {
        let now = Instant::now();
        let mut it = machine(1, 0, 10, now);
        fail(&mut it, now, after(1));
        let later = now + SECOND * 10;
        let ticket = it.enter(later).unwrap();
        assert_eq!(it.enter(later).unwrap_err(), Refusal::TooManyRequests);
        it.abandon(ticket, later);
        succeed(&mut it, later);
        assert_eq!(it.state(later), State::Closed);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Enter,
        Success(prop::sample::Index),
        Failure(prop::sample::Index),
        Abandon(prop::sample::Index),
        Pass(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Enter),
            2 => any::<prop::sample::Index>().prop_map(Event::Success),
            2 => any::<prop::sample::Index>().prop_map(Event::Failure),
            1 => any::<prop::sample::Index>().prop_map(Event::Abandon),
            2 => (0u64..8).prop_map(Event::Pass),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_events_breaks_it(
            max_requests in 1u64..4,
            interval in 0u64..6,
            timeout in 1u64..6,
            failures in 1u64..4,
            events in proptest::collection::vec(event(), 1..200),
        ) {
            let mut now = Instant::now();
            let mut it = machine(max_requests, interval, timeout, now);
            let mut tickets: Vec<Ticket> = Vec::new();
            for event in events {
                let before = it.state(now);
                let took = |tickets: &mut Vec<Ticket>, at: prop::sample::Index| {
                    (!tickets.is_empty()).then(|| tickets.remove(at.index(tickets.len())))
                };
                match event {
                    Event::Enter => match it.enter(now) {
                        Ok(ticket) => {
                            prop_assert_ne!(before, State::Open);
                            tickets.push(ticket);
                        }
                        Err(Refusal::Open) => prop_assert_eq!(before, State::Open),
                        Err(Refusal::TooManyRequests) => {
                            prop_assert_eq!(before, State::HalfOpen);
                            // Somebody is under way who will decide, so it is not stuck.
                            prop_assert!(tickets.iter().any(|t| t.generation == it.generation));
                        }
                    },
                    Event::Success(at) => {
                        if let Some(ticket) = took(&mut tickets, at) {
                            it.success(ticket, now);
                        }
                    }
                    Event::Failure(at) => {
                        if let Some(ticket) = took(&mut tickets, at) {
                            it.failure(ticket, now, after(failures));
                        }
                    }
                    Event::Abandon(at) => {
                        if let Some(ticket) = took(&mut tickets, at) {
                            it.abandon(ticket, now);
                        }
                    }
                    Event::Pass(seconds) => now += SECOND * seconds as u32,
                }
                let state = it.state(now);
                let counts = it.counts();
                let under_way = tickets.iter().filter(|t| t.generation == it.generation).count() as u64;
                let ended = counts.total_successes + counts.total_failures;
                prop_assert_eq!(counts.requests, under_way + ended);
                prop_assert!(counts.consecutive_successes <= counts.total_successes);
                prop_assert!(counts.consecutive_failures <= counts.total_failures);
                prop_assert!(counts.consecutive_successes == 0 || counts.consecutive_failures == 0);
                if state == State::HalfOpen {
                    prop_assert!(counts.requests <= max_requests);
                    prop_assert_eq!(counts.total_failures, 0);
                }
            }
        }
    }
}
