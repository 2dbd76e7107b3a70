//! Every namespace with its streams, and the loop that lets its rounds go on.

mod space;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use service::Tasks;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::leadership::Standing;
use crate::line::Outlet;
use crate::metrics::Metrics;
use crate::rounds::{Event, Message, Report, StreamId, Timing};
use space::Space;

/// Streams wait before they put more into the queue.
const MOST_QUEUED: usize = 4096;
/// How often the loop gives way before it acts.
const MOST_TURNS: usize = 16;

/// What the rounds are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) timing: Timing,
    /// Virtual nodes of a host, which the receivers of tables make.
    pub(crate) replication: i64,
}

/// The entry for streams; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    inbox: mpsc::Sender<Notice>,
    standing: watch::Receiver<Standing>,
    numbers: Arc<AtomicU64>,
    spaces: Arc<Mutex<Spaces>>,
}

/// A stream's place in the rounds of its namespace.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    stream: StreamId,
    namespace: Arc<str>,
}

/// What a stream tells the loop.
#[derive(Debug)]
struct Notice {
    seat: Seat,
    event: Event,
    /// Of a stream that is new.
    outlet: Option<Outlet>,
}

/// The loop has ended, and with it every stream.
#[derive(Debug)]
pub(crate) struct Ended;

/// A namespace as the state page shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) version: u64,
    pub(crate) hosts: Vec<Report>,
}

impl Hub {
    /// Starts the loop, which follows the standing of this member.
    pub(crate) fn start(
        settings: Settings,
        standing: &watch::Sender<Standing>,
        metrics: Metrics,
        tasks: &Tasks,
    ) -> Self {
        let (inbox, queue) = mpsc::channel(MOST_QUEUED);
        let hub = Self {
            inbox,
            standing: standing.subscribe(),
            numbers: Arc::default(),
            spaces: Arc::default(),
        };
        let (spaces, end) = (hub.spaces.clone(), tasks.token());
        let keeper = Keeper {
            settings,
            standing: standing.subscribe(),
            metrics,
            spaces,
        };
        tasks.spawn("rounds", async move {
            tokio::select! {
                () = keeper.run(queue) => {}
                () = end.cancelled() => {}
            }
        });
        hub
    }

    /// Why no stream can be opened now, if so.
    pub(crate) fn refusal(&self) -> Option<Status> {
        self.standing.borrow().refusal()
    }

    /// Takes a stream in.
    pub(crate) async fn join(&self, report: Report, outlet: Outlet) -> Result<Seat, Ended> {
        let seat = Seat {
            stream: self.numbers.fetch_add(1, Ordering::Relaxed),
            namespace: report.host().namespace.as_str().into(),
        };
        let event = Event::Joined(seat.stream, report);
        self.tell(&seat, event, Some(outlet)).await?;
        Ok(seat)
    }

    pub(crate) async fn say(&self, seat: &Seat, message: Message) -> Result<(), Ended> {
        self.tell(seat, Event::Said(seat.stream, message), None)
            .await
    }

    pub(crate) async fn leave(&self, seat: &Seat) {
        // Without the loop there is nobody to leave.
        let _ = self.tell(seat, Event::Left(seat.stream), None).await;
    }

    async fn tell(&self, seat: &Seat, event: Event, outlet: Option<Outlet>) -> Result<(), Ended> {
        let seat = seat.clone();
        let notice = Notice {
            seat,
            event,
            outlet,
        };
        self.inbox.send(notice).await.map_err(|_| Ended)
    }

    /// The tables, if this member leads.
    pub(crate) fn shown(&self) -> Option<Vec<(Arc<str>, Shown)>> {
        if self.refusal().is_some() {
            return None;
        }
        let spaces = self.spaces.lock();
        let shown = spaces
            .iter()
            .map(|(name, space)| (name.clone(), space.shown()));
        Some(shown.collect())
    }
}

type Spaces = HashMap<Arc<str>, Space>;

struct Keeper {
    settings: Settings,
    standing: watch::Receiver<Standing>,
    metrics: Metrics,
    spaces: Arc<Mutex<Spaces>>,
}

/// Gives those a turn who are about to say something, without waiting for time
/// to pass: of many that join at once, most are then in the same round.
async fn gather(queue: &mut mpsc::Receiver<Notice>, notices: &mut Vec<Notice>) {
    for _ in 0..MOST_TURNS {
        let before = notices.len();
        tokio::task::yield_now().await;
        while let Ok(notice) = queue.try_recv() {
            notices.push(notice);
        }
        if notices.len() == before {
            return;
        }
    }
}

impl Keeper {
    async fn run(mut self, mut queue: mpsc::Receiver<Notice>) {
        let mut notices = Vec::new();
        loop {
            let next = self.spaces.lock().values().filter_map(Space::next).min();
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Whatever came meanwhile counts as having come at once.
                _ = queue.recv_many(&mut notices, MOST_QUEUED) => {}
                () = due => {}
                // The sender lives as long as the process.
                _ = self.standing.changed() => {}
            }
            gather(&mut queue, &mut notices).await;
            let refusal = self.standing.borrow().refusal();
            match refusal {
                Some(status) => self.refuse(&mut notices, &status),
                None => self.go_on(&mut notices),
            }
        }
    }

    /// Ends every stream, those that are new as well.
    fn refuse(&self, notices: &mut Vec<Notice>, status: &Status) {
        let spaces = std::mem::take(&mut *self.spaces.lock());
        for space in spaces.into_values() {
            space.end(status);
        }
        for outlet in notices.drain(..).filter_map(|notice| notice.outlet) {
            outlet.end(status.clone());
        }
    }

    fn go_on(&self, notices: &mut Vec<Notice>) {
        let mut spaces = self.spaces.lock();
        for notice in notices.drain(..) {
            let Seat { stream, namespace } = notice.seat;
            if let Some(outlet) = notice.outlet {
                let space = spaces.entry(namespace).or_insert_with_key(|name| {
                    Space::new(self.settings, self.metrics.namespace(name))
                });
                space.seat(stream, outlet, notice.event);
            } else if let Some(space) = spaces.get_mut(&namespace) {
                space.queue(stream, notice.event);
            }
        }
        let now = Instant::now();
        spaces.retain(|name, space| {
            space.go_on(name, now);
            !space.is_empty()
        });
    }
}
