//! Calls of actors at a steady rate, whatever becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::Http;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

/// Longer than any call may take; who waits so long fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A load that runs beside the test.
#[derive(Debug)]
pub struct Load {
    done: Arc<AtomicUsize>,
    end: oneshot::Sender<()>,
    running: JoinHandle<Outcome>,
}

/// What became of all calls.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls that were answered with 200.
    pub succeeded: usize,
    /// What the others were answered.
    pub failed: Vec<String>,
    /// The longest that a call took.
    pub longest: Duration,
    /// Calls a second over the whole time.
    pub rate: f64,
}

impl Load {
    /// Calls `add` of the type `Counter` with ids below `actors`, so many times a second.
    /// A call that is late does not hold up the next.
    pub fn start(http: &Http, actors: usize, rate: u32) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let (end, ended) = oneshot::channel();
        let http = http.clone().within(PATIENCE);
        #[allow(clippy::disallowed_methods)] // stop waits for it; tests have no task tracker
        let running = tokio::spawn(run(http, actors, rate, done.clone(), ended));
        Self { done, end, running }
    }

    /// How many calls are over.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Makes no more calls, and waits for those under way.
    ///
    /// # Panics
    /// When the load itself did.
    pub async fn stop(self) -> Outcome {
        drop(self.end);
        self.running.await.expect("the load goes on to its end")
    }
}

async fn run(
    http: Http,
    actors: usize,
    rate: u32,
    done: Arc<AtomicUsize>,
    mut ended: oneshot::Receiver<()>,
) -> Outcome {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut calls, mut outcome) = (JoinSet::new(), Outcome::default());
    let start = Instant::now();
    for number in 0_usize.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut ended => break,
        }
        while let Some(call) = calls.try_join_next() {
            outcome.add(call.expect("a call does not panic"));
        }
        // A stride, so that one actor is not called again at once.
        let path = format!("/v1.0/actors/Counter/{}/method/add", number * 7 % actors);
        let (http, done) = (http.clone(), done.clone());
        calls.spawn(async move {
            let start = Instant::now();
            let reply = http.post(&path, "1").await;
            done.fetch_add(1, Ordering::Relaxed);
            let answer = match reply {
                Ok(reply) if reply.status == 200 => Ok(()),
                Ok(reply) => Err(format!("{path}: {} {}", reply.status, reply.text())),
                Err(error) => Err(format!("{path}: {error:#}")),
            };
            (answer, start.elapsed())
        });
    }
    let made = done.load(Ordering::Relaxed) + calls.len();
    let seconds = start.elapsed().as_secs_f64();
    while let Some(call) = calls.join_next().await {
        outcome.add(call.expect("a call does not panic"));
    }
    #[allow(clippy::cast_precision_loss)] // to be read by people
    let made = made as f64;
    outcome.rate = made / seconds;
    outcome
}

impl Outcome {
    fn add(&mut self, (answer, took): (Result<(), String>, Duration)) {
        self.longest = self.longest.max(took);
        match answer {
            Ok(()) => self.succeeded += 1,
            Err(error) => self.failed.push(error),
        }
    }
}
