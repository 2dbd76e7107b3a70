use std::cell::Cell;
use std::future::pending;
use std::sync::Mutex;

use tokio::time::Instant;

use super::*;
use crate::observer::{Labels, Observer};
use crate::testing::{Lines, observed, policies};
use crate::{ComponentKind, Direction, Policies};

type Answer = Result<i32, &'static str>;

/// A number is a status: below 400 is well.
fn judge(answer: &Answer) -> Verdict {
    match answer {
        Ok(status) if *status < 400 => Verdict::Success,
        Ok(status) => Verdict::Failure {
            code: Some(*status),
        },
        Err("final") => Verdict::Final,
        Err(_) => Verdict::Failure { code: None },
    }
}

/// An app with a timeout of 1s, retries every 2s, and a breaker that opens for
/// 10s after two failures.
fn app(target: &str) -> Policy {
    policies(&spec(target)).app("a", "a:m")
}

fn spec(target: &str) -> String {
    format!(
        "
policies:
  timeouts: {{t: 1s}}
  retries:
    r: {{duration: 2s, maxRetries: 3, matching: {{httpStatusCodes: 500-599}}}}
    grow: {{policy: exponential, maxRetries: 2}}
  circuitBreakers: {{c: {{timeout: 10s, trip: consecutiveFailures >= 2}}}}
targets: {{apps: {{a: {target}}}}}
"
    )
}

/// Runs attempts that give these answers in turn, the last one for ever.
async fn run(policy: &Policy, answers: &[Answer]) -> (Result<i32, Error<&'static str>>, usize) {
    let count = Cell::new(0);
    let outcome = policy
        .run(judge, || {
            let answer = answers[count.get().min(answers.len() - 1)];
            count.set(count.get() + 1);
            async move { answer }
        })
        .await;
    (outcome, count.get())
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_until_one_attempt_goes_well_or_none_is_left() {
    let policy = app("{retry: r}");
    let no = Err("no");
    for (answers, expected, attempts, seconds) in [
        (vec![Ok(200)], Ok(200), 1, 0),
        (vec![no, Ok(200)], Ok(200), 2, 2),
        (vec![Ok(503), no, Ok(201)], Ok(201), 3, 4),
        // What the last attempt gave comes back.
        (vec![no], Err(Error::Attempt("no")), 4, 6),
        (vec![no, no, no, Ok(503)], Ok(503), 4, 6),
        // Codes that do not match, and final failures, end it.
        (vec![Ok(503), Ok(404), Ok(200)], Ok(404), 2, 2),
        (
            vec![Err("final"), Ok(200)],
            Err(Error::Attempt("final")),
            1,
            0,
        ),
    ] {
        let began = Instant::now();
        let outcome = run(&policy, &answers).await;
        assert_eq!(outcome, (expected, attempts), "{answers:?}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn exponential_waits_grow_with_jitter() {
    let policy = app("{retry: grow}");
    let began = Instant::now();
    let outcome = run(&policy, &[Err("no")]).await;
    assert_eq!(outcome, (Err(Error::Attempt("no")), 3));
    let waited = began.elapsed();
    let bounds = Duration::from_millis(250 + 375)..=Duration::from_millis(750 + 1125 + 5);
    assert!(bounds.contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_there_is_one_attempt() {
    let outcome = run(&Policy::default(), &[Ok(503), Ok(200)]).await;
    assert_eq!(outcome, (Ok(503), 1));
    let outcome = run(&Policy::default(), &[Err("no")]).await;
    assert_eq!(outcome, (Err(Error::Attempt("no")), 1));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_holds_for_each_attempt() {
    let policy = app("{timeout: t}");
    let began = Instant::now();
    let outcome: Result<i32, Error<&str>> = policy.run(judge, pending).await;
    assert_eq!(outcome, Err(Error::Timeout));
    assert_eq!(began.elapsed().as_secs(), 1);

    let policy = app("{timeout: t, retry: r}");
    let began = Instant::now();
    let outcome: Result<i32, Error<&str>> = policy.run(judge, pending).await;
    assert_eq!(outcome, Err(Error::Timeout));
    assert_eq!(began.elapsed().as_secs(), 4 + 3 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_and_is_tried_again_after_its_timeout() {
    let policy = app("{circuitBreaker: c}");
    for _ in 0..2 {
        assert_eq!(run(&policy, &[Ok(500)]).await, (Ok(500), 1));
    }
    assert_eq!(run(&policy, &[Ok(200)]).await, (Err(Error::Open), 0));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(run(&policy, &[Ok(500)]).await, (Ok(500), 1));
    assert_eq!(run(&policy, &[Ok(200)]).await, (Err(Error::Open), 0));
    tokio::time::advance(Duration::from_secs(10)).await;
    for _ in 0..3 {
        assert_eq!(run(&policy, &[Ok(200)]).await, (Ok(200), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_ends_the_retries() {
    let policy = app("{retry: r, circuitBreaker: c}");
    let began = Instant::now();
    assert_eq!(run(&policy, &[Err("no")]).await, (Err(Error::Open), 2));
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn timeouts_count_as_failures_of_the_breaker() {
    let policy = app("{timeout: t, circuitBreaker: c}");
    for expected in [Error::Timeout, Error::Timeout, Error::Open] {
        let outcome: Result<i32, Error<&str>> = policy.run(judge, pending).await;
        assert_eq!(outcome, Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_gives_its_trial_back() {
    let policy = app("{circuitBreaker: c}");
    for _ in 0..2 {
        run(&policy, &[Err("no")]).await.0.unwrap_err();
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let mut trial = Box::pin(policy.run(judge, pending));
    tokio::select! {
        biased;
        _ = &mut trial => panic!("it ended"),
        () = async {} => {}
    }
    let refused = run(&policy, &[Ok(200)]).await;
    assert_eq!(refused, (Err(Error::TooManyRequests), 0));
    drop(trial);
    assert_eq!(run(&policy, &[Ok(200)]).await, (Ok(200), 1));
}

#[test]
fn a_run_can_move_between_threads_with_answers_that_cannot_be_shared() {
    fn movable(_: impl Send) {}
    let policy = app("{timeout: t, retry: r, circuitBreaker: c}");
    let judge = |_: &Result<Cell<u8>, Cell<u8>>| Verdict::Success;
    movable(policy.run(judge, || async { Ok(Cell::new(1)) }));
}

#[test]
fn errors_have_upstreams_texts() {
    for (error, expected) in [
        (Error::Attempt("no such host"), "no such host"),
        (Error::Timeout, "context deadline exceeded"),
        (Error::Open, "circuit breaker is open"),
        (Error::TooManyRequests, "too many requests"),
    ] {
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_breakers_are_logged() {
    let lines = Lines::default();
    let retrying = app("{retry: r}");
    let breaking = app("{circuitBreaker: c}");
    let _guard = tracing::subscriber::set_default(lines.clone());
    run(&retrying, &[Err("no"), Ok(200)]).await.0.unwrap();
    assert_eq!(
        lines.take(),
        [
            "WARN dapr.runtime: Error processing operation endpoint[a, a:m]. Retrying in 2s\u{2026}",
            "INFO dapr.runtime: Recovered processing operation endpoint[a, a:m] after 2 attempts",
        ]
    );
    run(&breaking, &[Ok(500)]).await.0.unwrap();
    run(&breaking, &[Ok(500)]).await.0.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    run(&breaking, &[Ok(200)]).await.0.unwrap();
    assert_eq!(
        lines.take(),
        [
            ("closed", "open"),
            ("open", "half-open"),
            ("half-open", "closed")
        ]
        .map(|(from, to)| format!(
            "INFO dapr.runtime: Circuit breaker \"a:m\" changed state from {from} to {to}"
        ))
    );
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Seen {
    fn push(&self, what: &str, labels: Labels<'_>) {
        let Labels {
            policy,
            flow_direction,
            target,
            status,
            ..
        } = labels;
        assert_eq!((labels.name, labels.namespace), ("rules", "test"));
        let line = format!("{what} {policy} {flow_direction} {target} {status}");
        self.0.lock().unwrap().push(line.trim_end().to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Seen {
    fn executed(&self, labels: Labels<'_>) {
        self.push("executed", labels);
    }

    fn activated(&self, labels: Labels<'_>) {
        self.push("activated", labels);
    }

    fn breaker_state(&self, labels: Labels<'_>) {
        self.push("state", labels);
    }
}

fn seen(spec: &str) -> (Policies, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    (observed(spec, seen.clone()), seen)
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_runs_and_of_what_took_effect() {
    let (policies, seen) = seen(&spec("{timeout: t, retry: r, circuitBreaker: c}"));
    let policy = policies.app("a", "a:m");
    let begin = |state: &str| {
        vec![
            "executed timeout outbound app_a".to_owned(),
            "executed retry outbound app_a".to_owned(),
            format!("executed circuitbreaker outbound app_a {state}"),
            format!("state circuitbreaker outbound app_a {state}"),
        ]
    };
    run(&policy, &[Ok(200)]).await.0.unwrap();
    assert_eq!(seen.take(), begin("closed"));

    let outcome: Result<i32, Error<&str>> = policy.run(judge, pending).await;
    assert_eq!(outcome, Err(Error::Open));
    let mut expected = begin("closed");
    expected.extend(
        [
            "activated timeout outbound app_a",
            "activated retry outbound app_a",
            "activated circuitbreaker outbound app_a open",
            "state circuitbreaker outbound app_a open",
        ]
        .map(String::from),
    );
    assert_eq!(seen.take(), expected);

    run(&policy, &[Ok(200)]).await.0.unwrap_err();
    assert_eq!(seen.take(), begin("open"));
    tokio::time::advance(Duration::from_secs(10)).await;
    run(&policy, &[Ok(200)]).await.0.unwrap();
    let mut expected = begin("half-open");
    expected.push("activated circuitbreaker outbound app_a closed".into());
    expected.push("state circuitbreaker outbound app_a closed".into());
    assert_eq!(seen.take(), expected);
}

#[tokio::test]
async fn targets_have_upstreams_labels() {
    let (policies, seen) = seen("policies: {timeouts: {DefaultTimeoutPolicy: 1s}}");
    let store = ComponentKind::Statestore;
    let bus = ComponentKind::Pubsub;
    for (policy, expected) in [
        (policies.app("a", "a:m"), "outbound app_a"),
        (
            policies.actor("robot", "1").after_lock,
            "outbound actor_robot",
        ),
        (
            policies.component("s", store, Direction::Outbound),
            "outbound Statestore_s",
        ),
        (
            policies.component("b", bus, Direction::Inbound),
            "inbound Pubsub_b",
        ),
    ] {
        run(&policy, &[Ok(200)]).await.0.unwrap();
        assert_eq!(seen.take(), [format!("executed timeout {expected}")]);
    }
    let builtin = policies.builtin(crate::Builtin::ServiceRetries);
    run(&builtin, &[Ok(200)]).await.0.unwrap();
    assert_eq!(seen.take(), [""; 0], "built-in policies are not observed");
}
