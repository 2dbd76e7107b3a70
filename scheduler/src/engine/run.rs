//! The loop around the engine: events in, effects out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::outbox::{Outbox, Refusal};
use super::{Effect, Engine, Event, JobRef, SCOPE, StreamId, Watch};
use crate::hosts::Hosts;
use crate::metrics::Metrics;
use crate::store::{Change, Command, Key, Store};

/// As many messages of streams wait for the engine; more wait on their streams.
const QUEUE: usize = 4096;
/// As many changes of the store are taken at once.
const CHANGES: usize = 256;
/// While so much is under way in the store, streams and changes wait.
const MOST_UNDER_WAY: usize = 16 * 1024;
/// The clock is looked at this often: it may be set while jobs wait.
const LOOK: Duration = Duration::from_secs(1);
/// The pauses after a write that failed grow from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long the results of what was fired may take when the engine ends.
const LAST_RESULTS: Duration = Duration::from_secs(1);
/// How long writes may take when the engine ends.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// What streams tell.
#[derive(Debug)]
enum Message {
    Join(StreamId, Watch, Outbox),
    Leave(StreamId),
    Result(StreamId, u64, bool),
}

/// Where streams come to; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    messages: mpsc::Sender<Message>,
    last: Arc<AtomicU64>,
}

/// The engine has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

impl Handle {
    /// Registers a stream, which has to leave in the end.
    pub(crate) async fn join(&self, watch: Watch, outbox: Outbox) -> Result<StreamId, Ended> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let message = Message::Join(id, watch, outbox);
        self.messages.send(message).await.map_err(|_| Ended)?;
        Ok(id)
    }

    pub(crate) async fn leave(&self, id: StreamId) {
        // An engine that has ended knows no streams.
        let _ = self.messages.send(Message::Leave(id)).await;
    }

    /// What an app made of a trigger.
    pub(crate) async fn result(
        &self,
        id: StreamId,
        trigger: u64,
        success: bool,
    ) -> Result<(), Ended> {
        let message = Message::Result(id, trigger, success);
        self.messages.send(message).await.map_err(|_| Ended)
    }
}

/// The engine, its streams, and what is under way in the store.
pub(crate) struct Cron {
    engine: Engine,
    store: Arc<dyn Store>,
    hosts: Hosts,
    messages: mpsc::Receiver<Message>,
    outboxes: HashMap<StreamId, Outbox>,
    reads: Vec<(JobRef, Key)>,
    under_way: FuturesUnordered<BoxFuture<'static, Vec<Event>>>,
    /// Kept until all that was fired is counted.
    ending: Option<Arc<DropGuard>>,
    metrics: Metrics,
}

impl Cron {
    pub(crate) fn new(store: Arc<dyn Store>, hosts: Hosts, metrics: Metrics) -> (Self, Handle) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let handle = Handle {
            messages: sender,
            last: Arc::default(),
        };
        let cron = Self {
            engine: Engine::new(metrics.clone()),
            store,
            hosts,
            messages,
            outboxes: HashMap::new(),
            reads: Vec::new(),
            under_way: FuturesUnordered::new(),
            ending: None,
            metrics,
        };
        (cron, handle)
    }

    /// Fires jobs until it is told to end.
    pub(crate) async fn run(mut self, end: CancellationToken) {
        tracing::info!(target: SCOPE, "Starting Cron");
        let mut changes = self.store.follow().ready_chunks(CHANGES);
        let mut hosts = self.hosts.all();
        hosts.mark_changed();
        let mut last = None;
        loop {
            let room = self.under_way.len() < MOST_UNDER_WAY;
            let wait = self.wait();
            tokio::select! {
                () = end.cancelled(), if last.is_none() => {
                    last = Some(Instant::now() + LAST_RESULTS);
                    self.on(Event::Ending);
                }
                () = until(last) => break,
                changed = changes.next(), if room && last.is_none() => match changed {
                    Some(changed) => changed.into_iter().for_each(|change| self.changed(change)),
                    None => break,
                },
                Some(message) = self.messages.recv(), if room => self.message(message),
                Some(events) = self.under_way.next() => {
                    events.into_iter().for_each(|event| self.on(event));
                }
                Ok(()) = hosts.changed() => {
                    let (index, total) = self.hosts.place();
                    self.on(Event::Share(index, total));
                }
                () = wait => self.on(Event::Tick),
            }
            self.read();
            if self.engine.is_quiet() {
                self.ending = None;
                if last.is_some() {
                    break;
                }
            }
        }
        // What apps have done is still counted.
        self.outboxes.clear();
        let rest = async { while self.under_way.next().await.is_some() {} };
        let _ = timeout(LAST_WRITES, rest).await;
        tracing::info!(target: SCOPE, "Cron shut down");
    }

    /// Until something is due, or the clock is to be looked at.
    fn wait(&self) -> impl Future<Output = ()> + use<> {
        let due = self.engine.wake_at().map(|at| {
            let left = at.duration_since(Timestamp::now());
            Duration::try_from(left).unwrap_or_default().min(LOOK)
        });
        async move {
            match due {
                Some(due) => sleep(due).await,
                None => std::future::pending().await,
            }
        }
    }

    fn changed(&mut self, change: Change) {
        match &change {
            Change::Synced => tracing::info!(target: SCOPE, "Cron is ready"),
            Change::Ending(open) => self.ending = Some(open.clone()),
            _ => {}
        }
        self.on(Event::Change(change));
    }

    fn message(&mut self, message: Message) {
        let event = match message {
            Message::Join(id, watch, outbox) => {
                self.outboxes.insert(id, outbox);
                Event::Joined(id, watch)
            }
            Message::Leave(id) => {
                self.outboxes.remove(&id);
                Event::Left(id)
            }
            Message::Result(stream, trigger, success) => Event::Result {
                stream,
                trigger,
                success,
            },
        };
        self.on(event);
    }

    fn on(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.engine.on(event, Timestamp::now()) {
                events.extend(self.perform(effect));
            }
        }
    }

    /// Does what the engine says, and answers what comes of it at once.
    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Load(job, key) => self.reads.push((job, key)),
            Effect::Write(job, command) => {
                let store = self.store.clone();
                self.under_way.push(Box::pin(write(store, job, command)));
            }
            Effect::Close(id) => {
                self.metrics.sidecar_errors.with(&["recv_failed"]).inc();
                if let Some(outbox) = self.outboxes.remove(&id) {
                    outbox.fail(Status::invalid_argument("result of an unknown trigger"));
                }
            }
            Effect::Deliver(id, message) => {
                let trigger = message.id;
                let outbox = self.outboxes.get(&id)?;
                match outbox.send(*message) {
                    Ok(()) => {}
                    Err(Refusal::Full) => {
                        let room = outbox.room();
                        self.under_way.push(Box::pin(async move {
                            room.await;
                            vec![Event::Room(id)]
                        }));
                        return Some(Event::Full(id, trigger));
                    }
                    Err(Refusal::Gone) => {
                        self.metrics.sidecar_errors.with(&["send_failed"]).inc();
                        self.outboxes.remove(&id);
                        return Some(Event::Left(id));
                    }
                }
            }
        }
        None
    }

    /// Reads all jobs at once that became due at once.
    fn read(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let (jobs, keys): (Vec<_>, Vec<_>) = std::mem::take(&mut self.reads).into_iter().unzip();
        let store = self.store.clone();
        self.under_way.push(Box::pin(async move {
            match store.read(keys).await {
                Ok(records) => {
                    let loaded = jobs.into_iter().zip(records);
                    loaded
                        .map(|(job, record)| Event::Loaded(job, record.map(Box::new)))
                        .collect()
                }
                Err(e) => {
                    tracing::error!(target: SCOPE, "Failed to read jobs that are due: {e}");
                    jobs.into_iter().map(Event::Unread).collect()
                }
            }
        }));
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Writes until it is written: until then the job must not fire again.
async fn write(store: Arc<dyn Store>, job: JobRef, command: Command) -> Vec<Event> {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.apply(command.clone()).await {
            Ok(outcome) => return vec![Event::Written(job, outcome)],
            Err(e) => {
                tracing::error!(target: SCOPE, "Failed to store the result of a job: {e}");
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}
