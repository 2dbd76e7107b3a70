//! What a candidate does about a Lease that it has read.

use std::time::Duration;

use tokio::time::Instant;

use super::{DURATION, Spec};

/// The longest time that another holder may ask for.
const MOST: u32 = 60;

#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    /// The Lease of somebody else, and since when it has been as it is.
    seen: Option<(Spec, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody else leads.
    Wait,
    /// Nobody leads.
    Take,
    /// This process leads.
    Renew,
}

impl Candidate {
    pub(super) fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            seen: None,
        }
    }

    pub(super) fn holds(&self, spec: &Spec) -> bool {
        spec.holder_identity.as_deref() == Some(&self.identity)
    }

    /// What is to be done about a Lease, or about there being none.
    pub(super) fn step(&mut self, spec: Option<&Spec>, now: Instant) -> Step {
        let Some(spec) = spec else { return Step::Take };
        if self.holds(spec) {
            return Step::Renew;
        }
        if spec
            .holder_identity
            .as_deref()
            .unwrap_or_default()
            .is_empty()
        {
            return Step::Take;
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        };
        let seconds = spec.lease_duration_seconds.unwrap_or(DURATION).min(MOST);
        if now >= since + Duration::from_secs(seconds.into()) {
            Step::Take
        } else {
            Step::Wait
        }
    }

    /// Writes a taken or renewed leadership into a Lease.
    pub(super) fn write(&self, spec: &mut Spec, step: Step, now: &str) {
        if step == Step::Take {
            let transitions = spec.lease_transitions.map_or(0, |n| n.saturating_add(1));
            spec.lease_transitions = Some(transitions);
            spec.acquire_time = Some(now.to_owned());
            spec.holder_identity = Some(self.identity.clone());
        }
        spec.lease_duration_seconds = Some(DURATION);
        spec.renew_time = Some(now.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, renewed: &str) -> Spec {
        Spec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(DURATION),
            renew_time: Some(renewed.into()),
            ..Spec::default()
        }
    }

    #[test]
    fn a_lease_that_nobody_holds_is_taken() {
        let mut me = Candidate::new("me");
        let now = Instant::now();
        for spec in [None, Some(Spec::default()), Some(held_by("", "x"))] {
            assert_eq!(me.step(spec.as_ref(), now), Step::Take);
        }
        assert_eq!(me.step(Some(&held_by("me", "x")), now), Step::Renew);
    }

    #[test]
    fn a_holder_is_gone_when_the_lease_has_not_changed_for_its_duration() {
        let mut me = Candidate::new("me");
        let mut now = Instant::now();
        let lasting = Duration::from_secs(DURATION.into());
        // Times in the Lease are of another clock, long ago or far ahead.
        for renewed in ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
            let spec = held_by("other", renewed);
            assert_eq!(me.step(Some(&spec), now), Step::Wait);
            now += lasting - Duration::from_millis(1);
            assert_eq!(me.step(Some(&spec), now), Step::Wait);
        }
        let last = held_by("other", "2999-01-01T00:00:00Z");
        now += Duration::from_millis(1);
        assert_eq!(me.step(Some(&last), now), Step::Take);
    }

    #[test]
    fn no_holder_can_ask_for_an_endless_lease() {
        let mut me = Candidate::new("me");
        let now = Instant::now();
        let mut spec = held_by("other", "x");
        spec.lease_duration_seconds = Some(u32::MAX);
        assert_eq!(me.step(Some(&spec), now), Step::Wait);
        let later = now + Duration::from_secs(MOST.into());
        assert_eq!(me.step(Some(&spec), later), Step::Take);
    }

    #[test]
    fn taking_counts_and_renewing_does_not() {
        let me = Candidate::new("me");
        let mut spec = Spec::default();
        me.write(&mut spec, Step::Take, "1");
        assert_eq!(spec.lease_transitions, Some(0));
        me.write(&mut spec, Step::Renew, "2");
        assert_eq!(spec.acquire_time.as_deref(), Some("1"));
        assert_eq!(spec.renew_time.as_deref(), Some("2"));
        assert!(me.holds(&spec));
        spec.holder_identity = Some("other".into());
        me.write(&mut spec, Step::Take, "3");
        assert_eq!((spec.lease_transitions, me.holds(&spec)), (Some(1), true));
    }
}
