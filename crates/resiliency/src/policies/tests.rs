use std::time::Duration;

use super::*;
use crate::testing::{Lines, policies, resource};
use crate::{Error, Verdict};

fn show(policy: &Policy) -> String {
    format!("{policy:?}")
}

/// Fails once; whether the breaker let it.
async fn fails(policy: &Policy) -> bool {
    let outcome = policy
        .run(
            |_: &Result<(), &str>| Verdict::Final,
            || async { Err("no") },
        )
        .await;
    outcome == Err(Error::Attempt("no"))
}

const BREAKER: &str = "
policies:
  circuitBreakers: {touchy: {trip: consecutiveFailures >= 1}, other: {trip: consecutiveFailures >= 1}}
  timeouts: {quick: 100}
";

#[test]
fn handles_can_be_sent_to_other_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Policies>();
    shared::<Policy>();
}

#[test]
fn without_resources_there_are_only_the_built_in_policies() {
    let it = Policies::default();
    assert!(it.app("orders", "orders:new").is_none());
    let kind = ComponentKind::Statestore;
    assert!(it.component("store", kind, Direction::Outbound).is_none());
    assert!(it.actor("robot", "1").before_lock.is_none());
    assert!(it.actor("robot", "1").after_lock.is_none());
    assert!(!it.has_app("orders") && !it.has_actor("robot"));
    assert!(it.loaded().is_empty());
    let constant = "Constant(1s), max_retries: Some";
    for (builtin, expected) in [
        (Builtin::ServiceRetries, format!("{constant}(3)")),
        (Builtin::ActorRetries, format!("{constant}(3)")),
        (Builtin::ActorNotFoundRetries, format!("{constant}(5)")),
        (
            Builtin::ActorReminderRetries,
            "max_interval: 60s, max_elapsed: 900s }, max_retries: Some(0)".into(),
        ),
        (
            Builtin::InitializationRetries,
            "max_interval: 1s, max_elapsed: 10s }, max_retries: Some(3)".into(),
        ),
    ] {
        let policy = show(&it.builtin(builtin));
        assert!(policy.contains(&expected), "{policy}");
        assert!(policy.contains(builtin.name()), "{policy}");
        assert!(policy.contains("timeout: None"), "{policy}");
        assert!(policy.contains("breaker: false"), "{policy}");
    }
}

#[test]
fn policies_have_their_defaults() {
    for (retry, expected) in [
        ("{}", "Constant(5s), max_retries: None"),
        (
            "{policy: CONSTANT, duration: 250, maxRetries: 0}",
            "Constant(250ms), max_retries: Some(0)",
        ),
        (
            "{duration: 1m, maxRetries: -1}",
            "Constant(60s), max_retries: None",
        ),
        (
            "{policy: Exponential, duration: 1s, maxRetries: 7}",
            "Exponential { max_interval: 60s, max_elapsed: 900s }, max_retries: Some(7)",
        ),
        (
            "{policy: exponential, maxInterval: 2s}",
            "Exponential { max_interval: 2s, max_elapsed: 900s }, max_retries: None",
        ),
    ] {
        let it = policies(&format!(
            "{{policies: {{retries: {{r: {retry}}}}}, targets: {{apps: {{a: {{retry: r}}}}}}}}"
        ));
        let policy = show(&it.app("a", "a:m"));
        assert!(policy.contains(expected), "{retry}: {policy}");
    }
}

#[test]
fn an_override_of_a_built_in_policy_has_at_least_three_retries() {
    for (name, retry, expected) in [
        (
            "ServiceRetries",
            "{duration: 2s, maxRetries: 5}",
            "Constant(2s), max_retries: Some(5)",
        ),
        (
            "ServiceRetries",
            "{duration: 2s, maxRetries: 2}",
            "Constant(2s), max_retries: Some(3)",
        ),
        (
            "ServiceRetries",
            "{duration: 2s, maxRetries: -1}",
            "Constant(2s), max_retries: Some(3)",
        ),
        (
            "ServiceRetries",
            "{duration: 2s}",
            "Constant(2s), max_retries: Some(3)",
        ),
        (
            "ActorNotFoundRetries",
            "{duration: 2s, maxRetries: 9}",
            "Constant(1s), max_retries: Some(5)",
        ),
    ] {
        let it = policies(&format!(
            "policies: {{retries: {{DaprBuiltIn{name}: {retry}}}}}"
        ));
        let builtin = Builtin::from_name(&format!("DaprBuiltIn{name}")).unwrap();
        let policy = show(&it.builtin(builtin));
        assert!(policy.contains(expected), "{name} {retry}: {policy}");
    }
}

#[test]
fn targets_have_the_policies_they_name() {
    let it = policies(
        "
policies:
  timeouts: {quick: 100ms, none: 0s}
  retries: {some: {maxRetries: 2}}
  circuitBreakers: {simple: {}}
targets:
  apps:
    orders: {timeout: quick, retry: some, circuitBreaker: simple}
    partial: {timeout: quick}
    zero: {timeout: none}
    wrong: {timeout: x, retry: y, circuitBreaker: z}
  actors:
    robot: {timeout: quick, retry: some, circuitBreaker: simple, circuitBreakerScope: id}
  components:
    store: {outbound: {retry: some, circuitBreaker: simple}}
",
    );
    let quick = Some(Duration::from_millis(100));
    for (policy, timeout, retries, breaker) in [
        (it.app("orders", "orders:new"), quick, true, true),
        (it.app("partial", "partial:new"), quick, false, false),
        (it.app("zero", "zero:new"), None, false, false),
        (it.app("wrong", "wrong:new"), None, false, false),
        (it.app("absent", "absent:new"), None, false, false),
        (it.actor("robot", "1").before_lock, None, true, true),
        (it.actor("robot", "1").after_lock, quick, false, false),
        (
            it.component("store", ComponentKind::Statestore, Direction::Outbound),
            None,
            true,
            true,
        ),
        (
            it.component("store", ComponentKind::Statestore, Direction::Inbound),
            None,
            false,
            false,
        ),
    ] {
        let shown = show(&policy);
        assert_eq!(policy.timeout(), timeout, "{shown}");
        assert_eq!(policy.retries(), retries, "{shown}");
        assert_eq!(shown.contains("breaker: true"), breaker, "{shown}");
        let none = timeout.is_none() && !retries && !breaker;
        assert_eq!(policy.is_none(), none, "{shown}");
    }
    assert!(it.has_app("wrong") && !it.has_app("absent"));
    assert!(it.has_actor("robot") && !it.has_actor("absent"));
}

#[test]
fn policies_are_titled_by_what_they_are_for() {
    let it = policies("policies: {timeouts: {DefaultTimeoutPolicy: 1s}}");
    let kind = ComponentKind::Pubsub;
    for (policy, expected) in [
        (
            it.app("orders", "orders:new"),
            "endpoint[orders, orders:new]",
        ),
        (it.actor("robot", "1").after_lock, "actor[robot, 1]"),
        (
            it.component("bus", kind, Direction::Inbound),
            "component[bus] input",
        ),
        (
            it.component("bus", kind, Direction::Outbound),
            "component[bus] output",
        ),
    ] {
        assert!(
            show(&policy).contains(&format!("{expected:?}")),
            "{policy:?}"
        );
    }
}

#[test]
fn each_default_policy_is_found_by_the_most_special_name_that_exists() {
    let it = policies(
        "
policies:
  timeouts:
    DefaultTimeoutPolicy: 1ms
    DefaultAppTimeoutPolicy: 2ms
    DefaultComponentTimeoutPolicy: 3ms
    DefaultComponentInboundTimeoutPolicy: 4ms
    DefaultStatestoreComponentOutboundTimeoutPolicy: 5ms
  retries:
    DefaultActorRetryPolicy: {}
  circuitBreakers:
    DefaultPubsubComponentInboundCircuitBreakerPolicy: {}
targets:
  apps: {own: {timeout: DefaultTimeoutPolicy}, bare: {}}
  components: {bare: {outbound: {}}}
",
    );
    let component = |name, kind, direction| it.component(name, kind, direction);
    let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
    for (policy, millis, retries, breaker) in [
        (it.app("any", "any:m"), 2, false, false),
        (it.app("own", "own:m"), 1, false, false),
        (it.app("bare", "bare:m"), 0, false, false),
        (it.actor("any", "1").before_lock, 0, true, false),
        (it.actor("any", "1").after_lock, 1, false, false),
        (
            component("s", ComponentKind::Statestore, outbound),
            5,
            false,
            false,
        ),
        (
            component("s", ComponentKind::Statestore, inbound),
            4,
            false,
            false,
        ),
        (
            component("p", ComponentKind::Pubsub, outbound),
            3,
            false,
            false,
        ),
        (
            component("p", ComponentKind::Pubsub, inbound),
            4,
            false,
            true,
        ),
        (
            component("bare", ComponentKind::Pubsub, inbound),
            0,
            false,
            false,
        ),
    ] {
        let timeout = (millis > 0).then(|| Duration::from_millis(millis));
        assert_eq!(policy.timeout(), timeout, "{policy:?}");
        assert_eq!(policy.retries(), retries, "{policy:?}");
        assert_eq!(
            show(&policy).contains("breaker: true"),
            breaker,
            "{policy:?}"
        );
    }
}

#[test]
fn every_kind_of_component_has_default_policies_of_its_own() {
    for kind in ComponentKind::ALL {
        for (direction, word) in [
            (Direction::Inbound, "Inbound"),
            (Direction::Outbound, "Outbound"),
        ] {
            let it = policies(&format!(
                "policies: {{timeouts: {{Default{}Component{word}TimeoutPolicy: 7}}}}",
                kind.as_str()
            ));
            for other in ComponentKind::ALL {
                for way in [Direction::Inbound, Direction::Outbound] {
                    let expected = (other, way) != (kind, direction);
                    assert_eq!(
                        it.component("c", other, way).is_none(),
                        expected,
                        "{other:?} {way:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn later_resources_replace_names_of_earlier_ones() {
    let mut faults = Vec::new();
    let it = Policies::compile(
        &[
            resource(
                "first",
                "{policies: {timeouts: {t: 1s, late: 1s}}, targets: {apps: {a: {timeout: t}, b: {timeout: new}}}}",
            ),
            resource("second", "policies: {timeouts: {t: 2s, new: 3s}}"),
        ],
        None,
        &mut |fault| faults.push(fault),
    );
    assert_eq!(it.app("a", "").timeout(), Some(Duration::from_secs(2)));
    assert_eq!(it.app("b", "").timeout(), Some(Duration::from_secs(3)));
    assert!(faults.is_empty(), "{faults:?}");
    let names: Vec<_> = it
        .loaded()
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn a_fault_skips_the_rest_of_its_resource_only() {
    let mut faults = Vec::new();
    let it = Policies::compile(
        &[
            resource(
                "broken",
                "{policies: {timeouts: {a: 1s, b: soon}, retries: {r: {}}}, targets: {apps: {early: {timeout: a}}}}",
            ),
            resource("whole", "targets: {apps: {late: {timeout: a, retry: r}}}"),
        ],
        None,
        &mut |fault| faults.push(fault),
    );
    assert_eq!(
        faults,
        [
            "Could not read resiliency policy broken: timeout \"b\": \"soon\" is not a duration; \
          write milliseconds, or a text such as 1m30s"
        ]
    );
    assert!(!it.has_app("early"));
    let late = it.app("late", "");
    assert_eq!(
        late.timeout(),
        Some(Duration::from_secs(1)),
        "what was before the fault stays"
    );
    assert!(!late.retries());
    assert_eq!(it.loaded().len(), 1);
    assert_eq!(it.loaded()[0].name, "whole");
}

#[test]
fn faults_name_what_is_wrong() {
    for (spec, expected) in [
        (
            "policies: {timeouts: {t: ''}}",
            "timeout \"t\": \"\" is not a duration",
        ),
        (
            "policies: {retries: {r: {policy: random}}}",
            "retry \"r\": policy \"random\" is neither",
        ),
        (
            "policies: {retries: {r: {duration: x}}}",
            "retry \"r\": duration: \"x\" is not",
        ),
        (
            "policies: {retries: {r: {maxInterval: x}}}",
            "retry \"r\": maxInterval: \"x\" is not",
        ),
        (
            "policies: {retries: {r: {matching: {httpStatusCodes: 5xx}}}}",
            "retry \"r\": httpStatusCodes: invalid",
        ),
        (
            "policies: {retries: {r: {matching: {gRPCStatusCodes: '17'}}}}",
            "retry \"r\": gRPCStatusCodes: invalid",
        ),
        (
            "policies: {circuitBreakers: {c: {maxRequests: -1}}}",
            "circuit breaker \"c\": maxRequests is below zero",
        ),
        (
            "policies: {circuitBreakers: {c: {interval: x}}}",
            "circuit breaker \"c\": interval: \"x\"",
        ),
        (
            "policies: {circuitBreakers: {c: {timeout: x}}}",
            "circuit breaker \"c\": timeout: \"x\"",
        ),
        (
            "policies: {circuitBreakers: {c: {trip: '>'}}}",
            "circuit breaker \"c\": trip: ",
        ),
        (
            "targets: {apps: {a: {circuitBreakerCacheSize: -1}}}",
            "app \"a\": circuitBreakerCacheSize is below zero",
        ),
        (
            "targets: {actors: {a: {circuitBreaker: c}}}",
            "actor \"a\": circuitBreakerScope \"\" is none",
        ),
        (
            "targets: {actors: {a: {circuitBreaker: c, circuitBreakerScope: all}}}",
            "circuitBreakerScope \"all\" is none",
        ),
    ] {
        let mut faults = Vec::new();
        Policies::compile(&[resource("bad", spec)], None, &mut |fault| {
            faults.push(fault)
        });
        assert_eq!(faults.len(), 1, "{spec}");
        assert!(faults[0].contains(expected), "{spec}: {}", faults[0]);
    }
    // Without a breaker its scope does not matter.
    policies("targets: {actors: {a: {timeout: t}}}");
}

#[tokio::test]
async fn endpoints_of_an_app_have_breakers_of_their_own() {
    let it = policies(&format!(
        "{BREAKER}\ntargets: {{apps: {{a: {{circuitBreaker: touchy}}}}}}"
    ));
    assert!(fails(&it.app("a", "a:x")).await);
    assert!(!fails(&it.app("a", "a:x")).await, "open");
    assert!(!fails(&it.clone().app("a", "a:x")).await, "clones share it");
    assert!(fails(&it.app("a", "a:y")).await, "another endpoint");
}

#[tokio::test]
async fn the_breaker_that_was_not_used_the_longest_is_forgotten() {
    let it = policies(&format!(
        "{BREAKER}\ntargets: {{apps: {{a: {{circuitBreaker: touchy, circuitBreakerCacheSize: 2}}}}}}"
    ));
    for endpoint in ["x", "y", "z"] {
        assert!(fails(&it.app("a", endpoint)).await);
    }
    assert!(!fails(&it.app("a", "z")).await, "still open");
    assert!(!fails(&it.app("a", "y")).await, "still open");
    assert!(fails(&it.app("a", "x")).await, "new");
}

#[tokio::test]
async fn default_breakers_are_by_app_and_endpoint() {
    let it = policies(
        "policies: {circuitBreakers: {DefaultAppCircuitBreakerPolicy: {trip: consecutiveFailures >= 1}}}",
    );
    assert!(fails(&it.app("a", "m")).await);
    assert!(!fails(&it.app("a", "m")).await);
    assert!(fails(&it.app("a", "n")).await);
    assert!(fails(&it.app("b", "m")).await);
}

#[tokio::test]
async fn breakers_of_actors_follow_their_scope() {
    for (scope, shared) in [("type", true), ("id", false), ("both", false)] {
        let it = policies(&format!(
            "{BREAKER}\ntargets: {{actors: {{robot: {{circuitBreaker: touchy, circuitBreakerScope: {scope}}}}}}}"
        ));
        assert!(fails(&it.actor("robot", "1").before_lock).await);
        assert!(!fails(&it.actor("robot", "1").before_lock).await);
        let other = fails(&it.actor("robot", "2").before_lock).await;
        assert_eq!(!other, shared, "{scope}");
    }
    let it = policies(
        "policies: {circuitBreakers: {DefaultCircuitBreakerPolicy: {trip: consecutiveFailures >= 1}}}",
    );
    assert!(fails(&it.actor("robot", "1").before_lock).await);
    assert!(
        !fails(&it.actor("robot", "2").before_lock).await,
        "one for the type"
    );
    assert!(fails(&it.actor("human", "1").before_lock).await);
}

#[tokio::test]
async fn both_directions_of_a_component_share_its_breaker() {
    let kind = ComponentKind::Binding;
    let it = policies(&format!(
        "{BREAKER}
targets:
  components:
    same: {{inbound: {{circuitBreaker: touchy}}, outbound: {{circuitBreaker: touchy}}}}
    two: {{inbound: {{circuitBreaker: touchy}}, outbound: {{circuitBreaker: other}}}}
    one: {{inbound: {{circuitBreaker: touchy}}}}
"
    ));
    for (name, outbound_passes) in [("same", false), ("two", true), ("one", true)] {
        assert!(fails(&it.component(name, kind, Direction::Inbound)).await);
        let outbound = fails(&it.component(name, kind, Direction::Outbound)).await;
        assert_eq!(outbound, outbound_passes, "{name}");
    }
    let it = policies(
        "policies: {circuitBreakers: {DefaultCircuitBreakerPolicy: {trip: consecutiveFailures >= 1}}}",
    );
    assert!(fails(&it.component("x", kind, Direction::Inbound)).await);
    assert!(!fails(&it.component("x", kind, Direction::Outbound)).await);
    assert!(fails(&it.component("y", kind, Direction::Outbound)).await);
}

#[test]
fn reading_resources_is_logged() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        policies(
            "
policies:
  retries:
    DaprBuiltInActorNotFoundRetries: {maxRetries: 9}
    DaprBuiltInServiceRetries: {maxRetries: 1}
",
        );
    });
    assert_eq!(
        lines.take(),
        [
            "INFO dapr.runtime: Loading Resiliency configuration: rules",
            "WARN dapr.runtime: Attempted to override protected policy DaprBuiltInActorNotFoundRetries \
             which is not allowed. Ignoring provided policy and using default.",
            "WARN dapr.runtime: Attempted override of DaprBuiltInServiceRetries did not meet minimum \
             retry count, resetting to 3.",
        ]
    );
}
