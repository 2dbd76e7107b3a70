//! Reading in pages, and following what changes.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};

use super::tables::Snapshot;
use super::{Embedded, snapshot};
use crate::store::{Change, Error, PAGE, Record};

/// The changes of so many commits wait for the follower; then the writer waits for it.
const QUEUE: usize = 64;
/// The pause after a page that could not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// Whoever follows the store.
#[derive(Default)]
pub(super) struct Feed(Mutex<Option<mpsc::Sender<Vec<Change>>>>);

impl Feed {
    /// Tells the follower, waiting for it where it is slow.
    pub(super) async fn send(&self, changes: Vec<Change>) {
        let follower = self.0.lock().clone();
        if let Some(follower) = follower.filter(|_| !changes.is_empty()) {
            // One that is gone needs nothing.
            let _ = follower.send(changes).await;
        }
    }

    pub(super) fn close(&self) {
        self.0.lock().take();
    }

    fn begin(&self) -> mpsc::Receiver<Vec<Change>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        *self.0.lock() = Some(sender);
        receiver
    }
}

/// Pages of what is stored below `prefix`, not before `from`, all of one moment.
pub(super) fn list(
    store: Embedded,
    prefix: String,
    from: String,
) -> impl Stream<Item = Result<Vec<Record>, Error>> {
    let prefix: Arc<str> = prefix.into();
    let begin = (None::<Arc<Snapshot>>, Some(from));
    stream::try_unfold(begin, move |(moment, from)| {
        let (store, prefix) = (store.clone(), prefix.clone());
        async move {
            let Some(from) = from else { return Ok(None) };
            let (moment, page) = store
                .blocking(move |file| {
                    let moment = match moment {
                        Some(moment) => moment,
                        None => Arc::new(snapshot(file)?),
                    };
                    let page = moment
                        .page(&prefix, &from)
                        .map_err(|e| file.fault(&e.into()))?;
                    Ok((moment, page))
                })
                .await?;
            let next = after(&page);
            Ok(Some((page, (Some(moment), next))))
        }
    })
}

/// The least key that comes after a full page.
fn after(page: &[Record]) -> Option<String> {
    let last = page.last().filter(|_| page.len() == PAGE)?;
    Some(format!("{}\0", last.key))
}

/// All jobs and then what changes. Each page is of its own moment, so that the
/// changes of the time between need not be kept: those of keys that are still
/// to be read are left out, since the reading will find them.
pub(super) fn follow(store: Embedded) -> impl Stream<Item = Change> {
    let follower = Follower {
        changes: store.feed.begin(),
        store,
        from: Some(String::new()),
        ready: VecDeque::from([Change::Reset]),
    };
    stream::unfold(follower, |mut follower| async move {
        let change = follower.next().await?;
        Some((change, follower))
    })
}

struct Follower {
    store: Embedded,
    changes: mpsc::Receiver<Vec<Change>>,
    /// Where the next page begins; none when all are read.
    from: Option<String>,
    ready: VecDeque<Change>,
}

impl Follower {
    async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Some(change);
            }
            let Some(from) = self.from.take() else {
                self.ready = self.changes.recv().await?.into();
                continue;
            };
            match self.changes.try_recv() {
                Ok(changes) => {
                    let read = changes.into_iter().filter(|c| is_read(c, &from));
                    self.ready.extend(read);
                    self.from = Some(from);
                }
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.read(from).await,
            }
        }
    }

    async fn read(&mut self, from: String) {
        let begin = from.clone();
        let page = self.store.reading(move |moment| moment.page("", &begin));
        match page.await {
            Ok(page) => {
                self.from = after(&page);
                let records = page.into_iter().map(Change::Put);
                self.ready.extend(records);
                if self.from.is_none() {
                    self.ready.push_back(Change::Synced);
                }
            }
            Err(e) => {
                tracing::error!(
                    target: "dapr.scheduler.server.etcd",
                    "Failed to read the stored jobs, trying again: {e}"
                );
                self.from = Some(from);
                sleep(AGAIN).await;
            }
        }
    }
}

/// Whether the reading has passed this change's key.
fn is_read(change: &Change, from: &str) -> bool {
    match change {
        Change::Put(record) => *record.key < *from,
        Change::Deleted { key, .. } => **key < *from,
        Change::Ending(_) | Change::Reset | Change::Synced => true,
    }
}
