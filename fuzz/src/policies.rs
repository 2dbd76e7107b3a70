//! Resiliency resources, and calls that keep failing under them.

use std::cell::Cell;
use std::future::pending;

use resiliency::{ComponentKind, Direction, Error, Policies, Policy, Verdict};
use resources::resiliency::{AppTarget, CircuitBreaker};
use resources::{Resiliency, Resource};

/// The most attempts that are made under a policy.
const MOST: usize = 12;

/// Resources in YAML.
pub fn resiliency(data: &[u8]) {
    let loaded = resources::load::parse_documents(data, "fuzz.yaml").resources;
    let of_kind = loaded.into_iter().filter_map(|found| match found.resource {
        Resource::Resiliency(resiliency) => Some(*resiliency),
        _ => None,
    });
    let objects: Vec<Resiliency> = of_kind.take(8).collect();
    let mut faults = Vec::new();
    let policies = Policies::compile(&objects, None, &mut |fault| faults.push(fault));
    assert_eq!(policies.loaded().len() + faults.len(), objects.len());

    for targets in objects.iter().map(|object| &object.spec.targets) {
        for app in targets.apps.keys().take(8) {
            assert!(policies.has_app(app) || !faults.is_empty(), "{app} is lost");
            fail(&policies.app(app, "method"));
        }
        for actor in targets.actors.keys().take(8) {
            assert!(policies.has_actor(actor) || !faults.is_empty());
            let policy = policies.actor(actor, "1");
            assert!(policy.before_lock.timeout().is_none());
            assert!(!policy.after_lock.retries());
            fail(&policy.before_lock);
            fail(&policy.after_lock);
        }
        for component in targets.components.keys().take(8) {
            for direction in [Direction::Inbound, Direction::Outbound] {
                fail(&policies.component(component, ComponentKind::Statestore, direction));
            }
        }
    }
    fail(&policies.app("of no target", "method"));
}

/// Conditions of circuit breakers, one per line.
pub fn conditions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.split('\n').take(4).filter(|line| !line.is_empty()) {
        let Some(policy) = breaker(line) else {
            continue;
        };
        let opened = opened_by_a_failure(&policy);
        if let (true, Some(opposite)) = (opened, breaker(&format!("!({line})"))) {
            assert!(!opened_by_a_failure(&opposite), "both are true: {line}");
        }
    }
}

/// The policy of an app with this breaker only; `None` when it is refused.
fn breaker(trip: &str) -> Option<Policy> {
    let mut object = Resiliency::default();
    let breaker = CircuitBreaker {
        trip: trip.into(),
        ..CircuitBreaker::default()
    };
    let breakers = &mut object.spec.policies.circuit_breakers;
    breakers.insert("b".into(), breaker);
    let target = AppTarget {
        circuit_breaker: "b".into(),
        ..AppTarget::default()
    };
    object.spec.targets.apps.insert("app".into(), target);
    let mut fault = None;
    let policies = Policies::compile(&[object], None, &mut |text| fault = Some(text));
    fault.is_none().then(|| policies.app("app", "method"))
}

fn opened_by_a_failure(policy: &Policy) -> bool {
    let ends = [0, 1].map(|_| attempts(policy, 1).1);
    assert_eq!(ends[0], Error::Attempt(()), "it is closed at first");
    ends[1] == Error::Open
}

/// Every attempt fails, or takes too long when there is a timeout.
fn fail(policy: &Policy) {
    let (made, end) = attempts(policy, MOST);
    assert!(made <= MOST);
    assert!(
        made <= 1 || policy.retries(),
        "{made} attempts without retries"
    );
    match end {
        Error::Attempt(()) => assert!(made > 0),
        Error::Timeout => assert!(made > 0 && policy.timeout().is_some()),
        Error::Open | Error::TooManyRequests => assert!(!policy.is_none()),
    }
    assert!(!policy.is_none() || (made, &end) == (1, &Error::Attempt(())));
}

/// Calls once under the policy, in no time; the last of the most attempts ends it.
fn attempts(policy: &Policy, most: usize) -> (usize, Error<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let made = Cell::new(0);
    let judge = |_: &Result<(), ()>| match made.get() {
        made if made < most => Verdict::Failure { code: None },
        _ => Verdict::Final,
    };
    let attempt = || async {
        made.set(made.get() + 1);
        if policy.timeout().is_some() && made.get() < most {
            pending::<()>().await;
        }
        Err(())
    };
    let end = runtime.block_on(policy.run(judge, attempt));
    (made.get(), end.expect_err("every attempt fails"))
}
