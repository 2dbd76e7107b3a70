//! The exposition as a scraper reads it.

use expect_test::expect;
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;
use crate::http::tests::get;

#[test]
fn families_are_shown_sorted_with_all_their_labels() {
    let registry = Registry::new(&[("app_id", "myapp")]);
    let requests = registry.counter(
        "http/server/request_count",
        "Requests.",
        &["status", "method"],
    );
    requests.with(&["500", "GET"]).inc();
    requests.with(&["200", ""]).add(1_000_000);
    registry
        .gauge("actor_timers", "A \\ and\na break.", &[])
        .with(&[])
        .set(-1.5);
    registry.counter("never_recorded", "", &["a"]);
    let latency = registry.histogram("latency", "Time.", &["path"], &[0.0, 1.0, 2.5]);
    for value in [1.0, 2.0, 1_000_000.0] {
        latency.with(&["a\"\\\nb"]).observe(value);
    }
    expect![[r##"
        # HELP dapr_actor_timers A \\ and\na break.
        # TYPE dapr_actor_timers gauge
        dapr_actor_timers{app_id="myapp"} -1.5
        # HELP dapr_http_server_request_count Requests.
        # TYPE dapr_http_server_request_count counter
        dapr_http_server_request_count{app_id="myapp",method="",status="200"} 1e+06
        dapr_http_server_request_count{app_id="myapp",method="GET",status="500"} 1
        # HELP dapr_latency Time.
        # TYPE dapr_latency histogram
        dapr_latency_bucket{app_id="myapp",path="a\"\\\nb",le="1"} 1
        dapr_latency_bucket{app_id="myapp",path="a\"\\\nb",le="2.5"} 2
        dapr_latency_bucket{app_id="myapp",path="a\"\\\nb",le="+Inf"} 3
        dapr_latency_sum{app_id="myapp",path="a\"\\\nb"} 1.000003e+06
        dapr_latency_count{app_id="myapp",path="a\"\\\nb"} 3
    "##]]
    .assert_eq(&registry.render());
}

#[test]
fn series_without_labels_have_no_braces() {
    let registry = Registry::new(&[]);
    registry.counter("loads", "", &[]).with(&[]).inc();
    assert!(registry.render().ends_with("\ndapr_loads 1\n"));
}

#[test]
fn a_name_is_one_family_however_often_it_is_asked_for() {
    let registry = Registry::new(&[]);
    registry.counter("loads", "", &["a"]).with(&["x"]).inc();
    registry.counter("loads", "", &["a"]).with(&["x"]).inc();
    assert!(registry.render().ends_with("dapr_loads{a=\"x\"} 2\n"));
}

#[test]
#[should_panic(expected = "metric dapr_loads is registered twice")]
fn a_name_cannot_be_two_kinds() {
    let registry = Registry::new(&[]);
    registry.counter("loads", "", &["a"]);
    registry.gauge("loads", "", &["a"]);
}

#[test]
fn series_beyond_the_limit_share_one() {
    let registry = Registry::with(Options::default().limit(2));
    let family = registry.counter("calls", "", &["path"]);
    for path in 0..100 {
        family.with(&[&path.to_string()]).inc();
    }
    let text = registry.render();
    assert!(
        text.contains("dapr_calls{path=\"_overflow\"} 98\n"),
        "{text}"
    );
    assert!(text.contains("dapr_calls{path=\"1\"} 1\n"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn rewritten_labels_that_become_equal_are_one_series() {
    let digits = |name: &str, label: &str, value: &str| {
        assert_eq!((name, label), ("dapr_calls", "path"));
        Some(value.replace(|c: char| c.is_ascii_digit(), "n"))
    };
    let registry = Registry::with(Options::default().rewrite(digits));
    let family = registry.counter("calls", "", &["path"]);
    family.with(&["/1"]).inc();
    family.with(&["/2"]).inc();
    assert!(registry.render().ends_with("\ndapr_calls{path=\"/n\"} 2\n"));
}

#[test]
fn recording_from_many_threads_loses_nothing() {
    let registry = Registry::new(&[]);
    let counter = registry.counter("n", "", &["a"]);
    let histogram = registry.histogram("h", "", &[], LATENCY_BUCKETS).with(&[]);
    let gauge = registry.gauge("g", "", &[]).with(&[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    counter.with(&["x"]).inc();
                    histogram.observe(3.0);
                    gauge.inc();
                }
            });
        }
    });
    assert_eq!(counter.with(&["x"]).get(), 4000);
    assert_eq!(gauge.get(), 4000.0);
    let text = registry.render();
    assert!(
        text.contains("dapr_h_sum 12000\n") && text.contains("dapr_h_bucket{le=\"2\"} 0\n"),
        "{text}"
    );
}

#[tokio::test]
async fn any_path_shows_the_metrics_and_those_of_the_process() {
    let (tasks, registry) = (Tasks::new(), Registry::new(&[]));
    registry.counter("loads", "", &[]).with(&[]).inc();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, &registry, &tasks);
    for path in ["/", "/metrics", "/any/path?x=1"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains(&format!("\r\ncontent-type: {CONTENT_TYPE}\r\n")),
            "{answer}"
        );
        assert!(
            answer.contains("dapr_loads 1\n") && answer.contains("process_open_fds "),
            "{answer}"
        );
    }
    assert!(
        tasks
            .shutdown(std::time::Duration::from_secs(10))
            .await
            .is_empty()
    );
}

proptest! {
    #[test]
    fn any_label_value_stays_on_its_line(value in any::<String>()) {
        let registry = Registry::new(&[]);
        registry.counter("n", "", &["v"]).with(&[&value]).inc();
        let text = registry.render();
        let samples: Vec<_> = text.split('\n').filter(|l| l.starts_with("dapr_n{v=\"")).collect();
        prop_assert_eq!(samples.len(), 1);
        let whole = samples[0].ends_with("\"} 1");
        prop_assert!(whole);
    }
}
