//! The task that owns the sockets: it announces, answers, asks and listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::name::Name;
use super::packet::{LARGEST, Message};
use super::registration::Registration;
use super::sockets::Sockets;

/// The longest pause before a probe; it is random, so that sidecars that start
/// together do not all send at once.
const PROBE: Duration = Duration::from_millis(250);
const ANNOUNCE: Duration = Duration::from_secs(1);
/// How often the interfaces are looked at.
const INTERFACES: Duration = Duration::from_secs(10);
/// How often known apps are asked for again.
const REFRESH: Duration = Duration::from_secs(30);
/// The most answers to everybody in one second, against being used to flood the
/// network: a sidecar is asked a few times a minute by each of its callers.
const ANSWERS: u32 = 200;
/// After a socket failed.
const PAUSE: Duration = Duration::from_millis(100);

/// What the task and the callers share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) cache: Mutex<Cache>,
    /// Rises with every answer that was learned.
    pub(super) learned: watch::Sender<u64>,
    /// Whether any interface takes part.
    pub(super) joined: AtomicBool,
}

pub(super) struct Link {
    pub(super) sockets: Sockets,
    pub(super) registration: Registration,
    /// For the log: `<app id> -> <address>:<port>`.
    pub(super) label: String,
    pub(super) shared: Arc<Shared>,
    pub(super) asks: mpsc::Receiver<Name>,
    pub(super) answered: Answered,
}

/// How many answers went to everybody since a second began.
pub(super) struct Answered {
    since: Instant,
    count: u32,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            count: 0,
        }
    }
}

impl Answered {
    /// Whether one more may go.
    fn one_more(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        self.count <= ANSWERS
    }
}

#[derive(Clone, Copy)]
enum Step {
    Probe,
    Announce,
}

impl Link {
    pub(super) fn refresh(&mut self) -> bool {
        let came = self.sockets.refresh();
        self.shared
            .joined
            .store(self.sockets.joined(), Ordering::Relaxed);
        came
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut buffer = Box::new([0; LARGEST]);
        let mut steps = introduction();
        let (mut interfaces, mut refresh) = (every(INTERFACES), every(REFRESH));
        loop {
            let next = steps.front().map(|(at, _)| *at);
            tokio::select! {
                () = stop.cancelled() => break,
                got = self.sockets.receive(&mut buffer) => match got {
                    Ok((length, from)) => {
                        if let Some(message) = Message::decode(&buffer[..length]) {
                            self.take(&message, from);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(target: "dapr.contrib", "mDNS cannot receive: {error}");
                        sleep(PAUSE).await;
                    }
                },
                Some(service) = self.asks.recv() => self.sockets.send(&Message::query(service)),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    self.step(steps.pop_front().map(|(_, step)| step), steps.is_empty());
                }
                _ = interfaces.tick() => if self.refresh() {
                    steps = introduction();
                },
                _ = refresh.tick() => {
                    let known = self.shared.cache.lock().sweep(Instant::now());
                    for service in known {
                        self.sockets.send(&Message::query(service));
                    }
                }
            }
        }
        self.sockets.send(&self.registration.goodbye());
    }

    fn take(&mut self, message: &Message, from: std::net::SocketAddr) {
        let now = Instant::now();
        if self.shared.cache.lock().learn(message, now) {
            self.shared.learned.send_modify(|count| *count += 1);
        }
        match self.registration.answer(message) {
            Some((answer, true)) => self.sockets.send_to(&answer, from),
            Some((answer, false)) if self.answered.one_more(now) => self.sockets.send(&answer),
            _ => {}
        }
    }

    fn step(&self, step: Option<Step>, last: bool) {
        match step {
            Some(Step::Probe) => self.sockets.send(&self.registration.probe()),
            Some(Step::Announce) => {
                self.sockets.send(&self.registration.announcement());
                if last && self.sockets.joined() {
                    tracing::info!(target: "dapr.contrib", "local service entry announced: {}", self.label);
                }
            }
            None => {}
        }
    }
}

/// Two probes, then two announcements.
fn introduction() -> VecDeque<(Instant, Step)> {
    let mut at = Instant::now();
    let mut steps = VecDeque::with_capacity(4);
    for _ in 0..2 {
        at += PROBE.mul_f64(rand::random());
        steps.push_back((at, Step::Probe));
    }
    at += PROBE;
    steps.push_back((at, Step::Announce));
    steps.push_back((at + ANNOUNCE, Step::Announce));
    steps
}

/// The first tick comes after a whole period.
fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.reset();
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_everybody_are_limited_in_every_second() {
        let (mut answered, now) = (Answered::default(), Instant::now());
        let allowed =
            |answered: &mut Answered, now| (0..1000).filter(|_| answered.one_more(now)).count();
        assert_eq!(allowed(&mut answered, now), 200);
        assert_eq!(allowed(&mut answered, now + Duration::from_millis(900)), 0);
        assert_eq!(allowed(&mut answered, now + Duration::from_secs(2)), 200);
    }

    #[test]
    fn an_introduction_is_two_probes_and_two_announcements_a_second_apart() {
        let steps: Vec<_> = introduction().into_iter().collect();
        let [
            (a, Step::Probe),
            (b, Step::Probe),
            (c, Step::Announce),
            (d, Step::Announce),
        ] = steps[..]
        else {
            panic!("{} steps", steps.len());
        };
        assert!(b - a <= PROBE && c - b <= PROBE && d - c == ANNOUNCE);
    }
}
