use std::collections::VecDeque;
use std::fmt;

use parking_lot::Mutex;
use service::metrics::Registry;
use tokio::task::yield_now;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;
use crate::queue::{Queue, queue};
use crate::span::Kind;

#[derive(Clone, Copy, Debug)]
enum Answer {
    Reject(u64),
    /// Try again, perhaps after so many seconds.
    Busy(Option<u64>),
    Refuse,
    Hang,
}

/// A collector that answers by a script, then takes everything.
#[derive(Clone, Default)]
struct Collector {
    script: Arc<Mutex<VecDeque<Answer>>>,
    /// When batches of how many spans came.
    seen: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the test")
    }
}

impl Export for Collector {
    async fn export(&mut self, records: &[Arc<Record>]) -> Result<u64, Failure> {
        self.seen.lock().push((Instant::now(), records.len()));
        let answer = self.script.lock().pop_front();
        let failure = |retry| Failure {
            reason: "scripted".into(),
            retry,
        };
        match answer {
            None => Ok(0),
            Some(Answer::Reject(n)) => Ok(n),
            Some(Answer::Busy(after)) => Err(failure(Some(after.map(Duration::from_secs)))),
            Some(Answer::Refuse) => Err(failure(None)),
            Some(Answer::Hang) => std::future::pending().await,
        }
    }
}

struct Bench {
    queue: Queue,
    collector: Collector,
    tasks: Tasks,
    registry: Registry,
    began: Instant,
}

impl Bench {
    fn new(script: &[Answer]) -> Self {
        let (tasks, registry) = (Tasks::new(), Registry::new(&[]));
        let (queue, outlet) = queue("x", &registry);
        let collector = Collector::default();
        collector.script.lock().extend(script);
        spawn(collector.clone(), outlet, &tasks);
        let began = Instant::now();
        Self {
            queue,
            collector,
            tasks,
            registry,
            began,
        }
    }

    fn push(&self, count: usize, bytes: usize) {
        for _ in 0..count {
            self.queue.push(&Arc::new(record(bytes)));
        }
    }

    /// Seconds since the start and sizes of the batches so far.
    fn batches(&self) -> Vec<(f64, usize)> {
        let seen = self.collector.seen.lock();
        seen.iter()
            .map(|(at, size)| ((*at - self.began).as_secs_f64(), *size))
            .collect()
    }

    /// Lets the worker do all it can until so many seconds after the start.
    async fn until(&self, seconds: f64) {
        tokio::time::sleep_until(self.began + Duration::from_secs_f64(seconds)).await;
        for _ in 0..100 {
            yield_now().await;
        }
    }

    async fn stop(&self) {
        let left = self.tasks.shutdown(Duration::from_secs(60)).await;
        assert_eq!(left, [] as [&str; 0]);
    }

    /// Exported, lost in export, refused by a full queue, and after the end.
    fn counts(&self) -> [u64; 4] {
        let text = self.registry.render();
        let value = |series: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(series));
            line.map_or(0, |value| value.trim().parse().unwrap())
        };
        let dropped = |reason: &str| {
            value(&format!(
                "dapr_tracing_spans_dropped_total{{exporter=\"x\",reason=\"{reason}\"}}"
            ))
        };
        [
            value("dapr_tracing_spans_exported_total{exporter=\"x\"}"),
            dropped("export_failed"),
            dropped("queue_full"),
            dropped("shutdown"),
        ]
    }
}

fn record(bytes: usize) -> Record {
    Record {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_id: None,
        flags: 1,
        state: None,
        name: "x".repeat(bytes),
        kind: Kind::Client,
        start: 0,
        end: 1,
        attributes: Vec::new(),
        left_out: 0,
        error: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_five_seconds_old() {
    let bench = Bench::new(&[]);
    bench.until(1.0).await;
    bench.push(512 + 10, 1);
    bench.until(5.9).await;
    assert_eq!(bench.batches(), [(1.0, 512)]);
    bench.until(6.1).await;
    assert_eq!(bench.batches().last().map(|b| b.1), Some(10));
    assert_eq!(bench.counts(), [522, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn long_spans_make_small_batches() {
    let bench = Bench::new(&[]);
    bench.push(7, 1 << 20);
    bench.until(6.0).await;
    let sizes: Vec<_> = bench.batches().iter().map(|b| b.1).collect();
    assert_eq!(sizes, [2, 2, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts_and_has_room_again_later() {
    let bench = Bench::new(&[]);
    bench.push(5000, 1);
    assert_eq!(bench.counts(), [0, 0, 5000 - 2048, 0]);
    bench.until(6.0).await;
    bench.push(2048, 1);
    bench.until(12.0).await;
    assert_eq!(bench.counts(), [2 * 2048, 0, 5000 - 2048, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_queue_are_bounded_until_they_are_delivered() {
    let bench = Bench::new(&[Answer::Hang]);
    bench.push(20, 1 << 20);
    assert_eq!(bench.counts(), [0, 0, 13, 0]);
    // The first batch is under way and keeps its share.
    bench.until(6.0).await;
    bench.push(1, 1 << 20);
    assert_eq!(bench.counts(), [0, 0, 14, 0]);

    let bench = Bench::new(&[Answer::Refuse]);
    for _ in 0..3 {
        bench.push(7, 1 << 20);
        bench.until(bench.began.elapsed().as_secs_f64() + 6.0).await;
    }
    assert_eq!(bench.counts(), [19, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_collector_is_tried_again_after_growing_pauses() {
    let bench = Bench::new(&[Answer::Busy(None); 4]);
    bench.push(512, 1);
    bench.until(30.0).await;
    let batches = bench.batches();
    assert_eq!(batches.len(), 5, "{batches:?}");
    for (pair, pause) in batches.windows(2).zip([1.0, 2.0, 4.0, 8.0]) {
        let waited = pair[1].0 - pair[0].0;
        assert!(
            (pause * 0.79..pause * 1.21).contains(&waited),
            "{batches:?}"
        );
    }
    assert_eq!(bench.counts(), [512, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_collector_may_wish_when_to_be_tried_again_within_bounds() {
    for (wish, waits) in [(0, 0.5), (7, 7.0), (3600, 30.0)] {
        let bench = Bench::new(&[Answer::Busy(Some(wish))]);
        bench.push(512, 1);
        bench.until(40.0).await;
        let waited = bench.batches()[1].0 - bench.batches()[0].0;
        assert!((waits..waits + 0.01).contains(&waited), "{wish}: {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_given_up_after_a_minute_and_the_next_one_goes() {
    let bench = Bench::new(&[Answer::Busy(Some(7)); 9]);
    bench.push(513, 1);
    bench.until(120.0).await;
    let batches = bench.batches();
    assert_eq!(batches.len(), 9 + 1, "{batches:?}");
    assert!(batches[8].0 < 60.0, "{batches:?}");
    assert_eq!(bench.counts(), [1, 512, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_rejected_spans_are_lost() {
    let bench = Bench::new(&[Answer::Refuse, Answer::Reject(12), Answer::Reject(9000)]);
    bench.push(512 * 3, 1);
    bench.until(10.0).await;
    assert_eq!(bench.batches().len(), 3);
    assert_eq!(bench.counts(), [500, 512 + 12 + 512, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_goes_out_at_the_end_and_later_spans_are_counted() {
    let bench = Bench::new(&[]);
    bench.push(1500, 1);
    bench.stop().await;
    let sizes: Vec<_> = bench.batches().iter().map(|b| b.1).collect();
    assert_eq!(sizes, [512, 512, 476]);
    assert!(bench.began.elapsed() < Duration::from_millis(100));
    bench.push(3, 1);
    assert_eq!(bench.counts(), [1500, 0, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_delays_the_end_by_three_seconds() {
    let bench = Bench::new(&[Answer::Hang]);
    bench.push(1500, 1);
    bench.until(10.0).await;
    bench.stop().await;
    let took = bench.began.elapsed().as_secs_f64() - 10.0;
    assert!((3.0..3.1).contains(&took), "{took}");
    assert_eq!(bench.counts(), [0, 1500, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_cuts_a_pause_short_and_tries_once_more() {
    for (script, counts) in [
        (&[Answer::Busy(Some(30))][..], [512, 0, 0, 0]),
        (
            &[Answer::Busy(Some(30)), Answer::Busy(None)],
            [0, 512, 0, 0],
        ),
    ] {
        let bench = Bench::new(script);
        bench.push(512, 1);
        bench.until(2.0).await;
        bench.stop().await;
        assert_eq!(bench.batches(), [(0.0, 512), (2.0, 512)]);
        assert_eq!(bench.counts(), counts);
    }
}

/// Keeps the log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut |_: &tracing::field::Field, value: &dyn fmt::Debug| {
            self.0.lock().push(format!("{value:?}"));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn one_line_a_minute_says_that_the_collector_is_away() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new(&[Answer::Refuse; 100]);
    for second in 0..=60 {
        bench.until(f64::from(second)).await;
        bench.push(512, 1);
    }
    bench.until(61.0).await;
    let line = |lost| format!("cannot export spans to the test: scripted; {lost} lost so far");
    assert_eq!(*lines.0.lock(), [line(0), line(60 * 512)]);
}
