//! The streams of sidecars: who takes which jobs, and what each one has.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::gates::Limit;
use super::jobs::JobRef;
use crate::records::target::Target;

/// A stream, for as long as this process lives.
pub(crate) type StreamId = u64;

/// What a stream wants.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) targets: Vec<Target>,
    pub(crate) limits: Vec<Limit>,
}

/// A trigger that a stream has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) job: JobRef,
    pub(super) at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Streams {
    all: HashMap<StreamId, Stream>,
    pools: HashMap<Arc<Target>, Pool>,
    /// How many triggers all of them have.
    open: usize,
}

#[derive(Debug)]
struct Stream {
    watch: Watch,
    /// The number of the last trigger; they count from 1.
    last: u64,
    sent: HashMap<u64, Sent>,
    /// Its receiver does not keep up: it gets nothing until it does.
    full: bool,
}

/// The streams of one target, each in its turn.
#[derive(Debug, Default)]
struct Pool {
    streams: Vec<StreamId>,
    next: usize,
}

impl Streams {
    pub(super) fn join(&mut self, id: StreamId, watch: Watch) {
        for target in &watch.targets {
            let pool = match self.pools.get_mut(target) {
                Some(pool) => pool,
                None => self.pools.entry(Arc::new(target.clone())).or_default(),
            };
            pool.streams.push(id);
        }
        let stream = Stream {
            watch,
            last: 0,
            sent: HashMap::new(),
            full: false,
        };
        self.all.insert(id, stream);
    }

    /// What the stream wanted, and the triggers that it had.
    pub(super) fn leave(&mut self, id: StreamId) -> Option<(Watch, Vec<Sent>)> {
        let stream = self.all.remove(&id)?;
        for target in &stream.watch.targets {
            if let Some(pool) = self.pools.get_mut(target) {
                pool.streams.retain(|other| *other != id);
                if pool.streams.is_empty() {
                    self.pools.remove(target);
                }
            }
        }
        self.open -= stream.sent.len();
        Some((stream.watch, stream.sent.into_values().collect()))
    }

    /// Whether a stream takes triggers of this target now.
    pub(super) fn is_ready(&self, target: &Target) -> bool {
        let pool = self.pools.get(target);
        pool.is_some_and(|pool| pool.streams.iter().any(|id| self.keeps_up(*id)))
    }

    /// Gives a trigger to the stream whose turn it is of those that keep up;
    /// answers it and the trigger's number there.
    pub(super) fn send(&mut self, target: &Target, sent: Sent) -> Option<(StreamId, u64)> {
        let pool = self.pools.get(target)?;
        let (before, from) = pool.streams.split_at(pool.next.min(pool.streams.len()));
        let turns = from.iter().chain(before).copied();
        let (steps, id) = turns.enumerate().find(|(_, id)| self.keeps_up(*id))?;
        if let Some(pool) = self.pools.get_mut(target) {
            pool.next = (pool.next + steps + 1) % pool.streams.len();
        }
        let stream = self.all.get_mut(&id)?;
        stream.last += 1;
        stream.sent.insert(stream.last, sent);
        self.open += 1;
        Some((id, stream.last))
    }

    fn keeps_up(&self, id: StreamId) -> bool {
        self.all.get(&id).is_some_and(|stream| !stream.full)
    }

    /// Takes a trigger back.
    pub(super) fn take(&mut self, id: StreamId, trigger: u64) -> Option<Sent> {
        let taken = self.all.get_mut(&id)?.sent.remove(&trigger);
        self.open -= usize::from(taken.is_some());
        taken
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn set_full(&mut self, id: StreamId, full: bool) {
        if let Some(stream) = self.all.get_mut(&id) {
            stream.full = full;
        }
    }

    pub(super) fn targets(&self, id: StreamId) -> Vec<Target> {
        let stream = self.all.get(&id);
        stream.map_or_else(Vec::new, |stream| stream.watch.targets.clone())
    }
}
