//! One namespace: its rounds, and the streams that its orders go to.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::time::Instant;
use tonic::Status;

use super::{Settings, Shown};
use crate::line::Outlet;
use crate::metrics::NamespaceMetrics;
use crate::orders;
use crate::rounds::{Effect, Event, Order, Phase, Rounds, Silence, StreamId};

const SCOPE: &str = "dapr.placement.server.loops.disseminator";

#[derive(Debug)]
pub(super) struct Space {
    settings: Settings,
    rounds: Rounds,
    /// What the rounds are to be told next.
    events: Vec<Event>,
    outlets: HashMap<StreamId, Outlet>,
    /// The newest update, which later streams get as well.
    update: Option<(u64, Bytes)>,
    metrics: NamespaceMetrics,
}

impl Space {
    pub(super) fn new(settings: Settings, metrics: NamespaceMetrics) -> Self {
        Self {
            settings,
            rounds: Rounds::new(settings.timing, Instant::now()),
            events: Vec::new(),
            outlets: HashMap::new(),
            update: None,
            metrics,
        }
    }

    /// Takes a new stream in.
    pub(super) fn seat(&mut self, stream: StreamId, outlet: Outlet, event: Event) {
        self.outlets.insert(stream, outlet);
        self.events.push(event);
    }

    /// Takes note of what a stream does.
    pub(super) fn queue(&mut self, stream: StreamId, event: Event) {
        if matches!(event, Event::Left(_)) {
            self.outlets.remove(&stream);
        }
        self.events.push(event);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.rounds.next()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Does what events and time ask for.
    pub(super) fn go_on(&mut self, name: &str, now: Instant) {
        if self.events.is_empty() && self.next().is_none_or(|next| now < next) {
            return;
        }
        let effects = self.rounds.on(self.events.drain(..), now);
        let late = effects.iter().find_map(|effect| match effect {
            Effect::Close { silence, .. } => Some(silence.version),
            Effect::Send { .. } => None,
        });
        if let Some(version) = late {
            tracing::warn!(target: SCOPE, "Dissemination timeout for version {version}");
        }
        for effect in effects {
            match effect {
                Effect::Send { to, order } => self.send(&to, order),
                Effect::Close { stream, silence } => self.close(name, stream, silence),
            }
        }
        self.metrics
            .set(self.outlets.len(), self.rounds.hosts().len());
    }

    fn send(&mut self, to: &[StreamId], order: Order) {
        let frame = self.frame(order);
        for stream in to {
            let Some(outlet) = self.outlets.get(stream) else {
                continue;
            };
            if !outlet.send(frame.clone()) {
                // The rounds hear of it when its reader has left.
                if let Some(outlet) = self.outlets.remove(stream) {
                    let text = "too many orders wait to be read";
                    outlet.end(Status::resource_exhausted(text));
                }
            }
        }
    }

    fn frame(&mut self, order: Order) -> Bytes {
        let made =
            |rounds: &Rounds| orders::frame(order, rounds.hosts(), self.settings.replication);
        if order.operation != Phase::Update {
            return made(&self.rounds);
        }
        match &self.update {
            Some((version, frame)) if *version == order.version => frame.clone(),
            _ => {
                let frame = made(&self.rounds);
                self.update = Some((order.version, frame.clone()));
                frame
            }
        }
    }

    fn close(&mut self, name: &str, stream: StreamId, silence: Silence) {
        let Silence {
            version,
            state,
            expected,
        } = silence;
        tracing::warn!(
            target: SCOPE,
            "Closing non-responding stream {name}:{stream} (state={state}, expected={expected})"
        );
        if let Some(outlet) = self.outlets.remove(&stream) {
            let timeout = service::duration::format(self.settings.timing.timeout);
            outlet.end(Status::deadline_exceeded(format!(
                "dissemination timeout after {timeout} for version {version}"
            )));
        }
    }

    /// Ends every stream.
    pub(super) fn end(mut self, status: &Status) {
        for (_, outlet) in self.outlets.drain() {
            outlet.end(status.clone());
        }
    }

    pub(super) fn shown(&self) -> Shown {
        Shown {
            version: self.rounds.version(),
            hosts: self.rounds.hosts().cloned().collect(),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.metrics.set(0, 0);
    }
}
