//! The jobs of this scheduler's share, term after term.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::reading::{self, Page, Reading};
use crate::etcd::client::{Client, Error, Watch};
use crate::etcd::keys::{JOBS, end_of};
use crate::etcd::ring::{Hold, Layout, Term};
use crate::etcd::wire::mvccpb::event::EventType;
use crate::etcd::wire::mvccpb::{Event, KeyValue};
use crate::records::stored;
use crate::store::{Change, Record};

const TARGET: &str = "dapr.scheduler.etcd";
/// As many jobs are read at once.
const PAGE: usize = 1024;
/// How long the end of a term may wait for the results of what was fired: whoever has
/// the job next would fire it once more.
const LAST_RESULTS: Duration = Duration::from_secs(1);
/// The pause after a page that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads and then watches the jobs while a term lasts.
pub(super) struct Follower {
    client: Client,
    terms: watch::Receiver<Option<Term>>,
    ready: VecDeque<Change>,
    state: State,
}

enum State {
    /// There is no term.
    Between,
    Reading(Term, Hold, Box<Reading>, i64),
    Watching(Term, Hold, Box<Watch>),
    /// The term is over: what was fired is waited for until then, or until the token is
    /// cancelled.
    Ending(Hold, CancellationToken, Instant),
    /// The reader was told that the jobs are no longer its own.
    Over(Hold),
}

impl Follower {
    pub(super) fn new(client: Client, terms: watch::Receiver<Option<Term>>) -> Self {
        Self {
            client,
            terms,
            ready: VecDeque::new(),
            state: State::Between,
        }
    }

    /// The next change; `None` when there will be no other term.
    pub(super) async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Some(change);
            }
            match std::mem::replace(&mut self.state, State::Between) {
                State::Between => {
                    let term = self.terms.wait_for(Option::is_some).await.ok()?.clone();
                    if let Some(term) = term
                        && let Some(hold) = term.hold()
                    {
                        self.begin(term, hold);
                    }
                }
                State::Reading(term, hold, mut reading, revision) => {
                    let page = tokio::select! {
                        biased;
                        () = term.over() => None,
                        page = reading.next() => Some(page),
                    };
                    match page {
                        None => self.end(hold),
                        Some(page) => self.page(term, hold, reading, revision, page).await,
                    }
                }
                State::Watching(term, hold, mut watch) => {
                    let changes = tokio::select! {
                        biased;
                        () = term.over() => None,
                        changes = changes(&self.client, &term.layout, &mut watch) => Some(changes),
                    };
                    match changes {
                        None => self.end(hold),
                        Some(Ok(changes)) => {
                            self.ready.extend(changes);
                            self.state = State::Watching(term, hold, watch);
                        }
                        Some(Err(error)) => {
                            tracing::warn!(target: TARGET, "the jobs are read again: {error}");
                            self.begin(term, hold);
                        }
                    }
                }
                State::Ending(hold, counted, end) => {
                    tokio::select! {
                        () = counted.cancelled() => {}
                        () = sleep_until(end) => {}
                    }
                    self.ready.push_back(Change::Reset);
                    self.state = State::Over(hold);
                }
                State::Over(hold) => {
                    // Whoever takes many changes at once asks a second time before it
                    // looks at what it has; this makes it look.
                    tokio::task::yield_now().await;
                    drop(hold);
                }
            }
        }
    }

    fn begin(&mut self, term: Term, hold: Hold) {
        let reading = Box::new(Reading::new(&self.client, "", PAGE));
        self.ready.push_back(Change::Reset);
        self.state = State::Reading(term, hold, reading, 0);
    }

    fn end(&mut self, hold: Hold) {
        let counted = CancellationToken::new();
        let open = Arc::new(counted.clone().drop_guard());
        self.ready.push_back(Change::Ending(open));
        self.state = State::Ending(hold, counted, Instant::now() + LAST_RESULTS);
    }

    async fn page(
        &mut self,
        term: Term,
        hold: Hold,
        reading: Box<Reading>,
        revision: i64,
        page: Result<Option<Page>, Error>,
    ) {
        match page {
            Ok(Some(Page { records, revision })) => {
                let own = records
                    .into_iter()
                    .filter(|r| term.layout.owns(r.job.partition_id));
                self.ready.extend(own.map(Change::Put));
                self.state = State::Reading(term, hold, reading, revision);
            }
            Ok(None) => {
                self.ready.push_back(Change::Synced);
                let end = end_of(JOBS.as_bytes());
                let watch = Box::new(self.client.watch(JOBS, end, revision + 1));
                self.state = State::Watching(term, hold, watch);
            }
            Err(error) => {
                tracing::error!(target: TARGET, "the jobs cannot be read yet: {error}");
                sleep(PAUSE).await;
                self.begin(term, hold);
            }
        }
    }
}

/// The next changes of the share.
async fn changes(
    client: &Client,
    layout: &Layout,
    watch: &mut Watch,
) -> Result<Vec<Change>, String> {
    let events = watch.next().await.map_err(|lost| lost.to_string())?;
    let (mut written, mut removed) = (Vec::new(), Vec::new());
    for event in &events {
        match read(event, layout) {
            Some(Ok(record)) => written.push(record),
            Some(Err(change)) => removed.push(change),
            None => {}
        }
    }
    // A job that was brought from elsewhere comes with its counter.
    let counted = reading::count(client, &mut written).await;
    counted.map_err(|error| error.to_string())?;
    // The order does not matter: each has its revision.
    let written = written.into_iter().map(Change::Put);
    Ok(written.chain(removed).collect())
}

/// What an event means for the share: a job of it, one that left it, or nothing.
fn read(event: &Event, layout: &Layout) -> Option<Result<Record, Change>> {
    let pair = event.kv.as_ref()?;
    let is_put = event.r#type() == EventType::Put;
    if is_put
        && let Some(record) = reading::record(pair)
        && layout.owns(record.job.partition_id)
    {
        return Some(Ok(record));
    }
    let owned = |before: &KeyValue| match stored::Job::decode(before.value.clone()) {
        Ok(job) => layout.owns(job.partition_id),
        Err(_) => false,
    };
    let leaves = match &event.prev_kv {
        Some(before) => owned(before),
        // It is not told any more; it may have been one of the share.
        None => !(is_put && pair.version == 1),
    };
    let key = reading::name(&pair.key)?.into();
    let revision = pair.mod_revision.cast_unsigned();
    leaves.then_some(Err(Change::Deleted { key, revision }))
}
