//! Reminders that Dapr before 1.15, and later versions with `SchedulerReminders` off, kept
//! in the state store of actors: made jobs, once.
//!
//! Nothing tells a document that still counts from one whose reminders the scheduler
//! already had: the versions that moved them left it where it was. To import what stands
//! there could revive reminders that were deleted or have fired long ago, so that only who
//! runs the installation can know, and asks for it by the feature `ImportActorReminders`.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::error::RESERVED_PREFIX;
use component::state::{Concurrency, GetRequest, Item, Metadata, Operation, SetRequest, Value};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tonic::Code;

use self::kept::{Fired, Layout, Reminder};
use crate::scheduler::{self, Target};
use crate::state::{State, Store};

const SCOPE: &str = "dapr.runtime.actor.reminders.import";
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Reminders that are on their way at a time.
const AT_A_TIME: usize = 32;
/// More partitions than anybody has; they are read one after the other.
const MOST_PARTITIONS: u32 = 10_000;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the state store of actors is not there")]
    NoStore,
    #[error(transparent)]
    Store(#[from] component::Error),
    #[error(transparent)]
    Scheduler(#[from] scheduler::Error),
}

pub(super) struct Import {
    state: State,
    scheduler: scheduler::Client,
    types: BTreeMap<Arc<str>, Progress>,
}

/// How far a type is. It outlives an attempt that failed, so that the next one does not
/// bring back what has been imported and fired in between.
#[derive(Default)]
struct Progress {
    is_done: bool,
    documents: BTreeSet<String>,
    /// What the scheduler has of the document that comes next.
    reminders: HashSet<String>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Counts {
    imported: usize,
    /// The scheduler had a reminder of the same name.
    present: usize,
    /// It had fired for the last time, or expired.
    over: usize,
    /// It, or its whole document, cannot be imported.
    left: usize,
}

/// What became of a reminder.
enum Fate {
    Imported,
    Present,
    Over,
    Left(String),
}

impl Import {
    pub(super) fn new(state: State, scheduler: scheduler::Client) -> Self {
        Self {
            state,
            scheduler,
            types: BTreeMap::new(),
        }
    }

    /// Imports the reminders of each type when it is first hosted. What fails is tried
    /// again after a while, and whenever the app registers.
    pub(super) async fn run(mut self, mut hosted: watch::Receiver<BTreeSet<Arc<str>>>) {
        loop {
            let types = hosted.borrow_and_update().clone();
            let mut failed = false;
            // Those of workflows mean something to the version that made them only.
            for kind in types
                .iter()
                .filter(|kind| !kind.starts_with(RESERVED_PREFIX))
            {
                if let Err(e) = self.import(kind).await {
                    tracing::warn!(target: SCOPE, "Reminders of actor type {kind} are not all imported yet: {e}");
                    failed |= !matches!(e, Error::Scheduler(scheduler::Error::Disabled));
                }
            }
            tokio::select! {
                changed = hosted.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(AGAIN), if failed => {}
            }
        }
    }

    async fn import(&mut self, kind: &Arc<str>) -> Result<(), Error> {
        let progress = self.types.entry(kind.clone()).or_default();
        if progress.is_done {
            return Ok(());
        }
        let store = self.state.of_actors().ok_or(Error::NoStore)?;
        let rows = Rows {
            store: &store,
            kind,
        };
        if rows.are_imported().await? {
            progress.is_done = true;
            return Ok(());
        }
        let Some(documents) = rows.documents().await? else {
            progress.is_done = true;
            return Ok(());
        };
        let mut found = false;
        for (key, partition) in documents {
            if progress.documents.contains(&key) {
                found = true;
                continue;
            }
            // Another sidecar may have been faster.
            if rows.are_imported().await? {
                progress.is_done = true;
                return Ok(());
            }
            let is_partition = partition.is_some();
            let item = rows.get(&key, partition).await?;
            found |= is_partition || item.is_some();
            match item.map(|item| kept::read(&item.data, kind)) {
                Some(Ok(reminders)) => {
                    schedule_all(&rows, &self.scheduler, &key, reminders, progress).await?;
                }
                Some(Err(e)) => progress.counts.leave(&key, &e),
                None if is_partition => progress.counts.leave(&key, "it is missing"),
                None => {}
            }
            progress.reminders.clear();
            progress.documents.insert(key);
        }
        if found {
            rows.mark(&progress.counts).await?;
            let (store, counts) = (store.name(), &progress.counts);
            tracing::info!(
                target: SCOPE,
                "Imported reminders of actor type {kind} from state store {store}: {counts}"
            );
        }
        progress.is_done = true;
        Ok(())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            imported,
            present,
            over,
            left,
        } = self;
        write!(
            f,
            "{imported} are jobs now, {present} were jobs already, {over} were over, {left} are left in place"
        )
    }
}

impl Counts {
    fn leave(&mut self, what: &str, why: &str) {
        report(what, why);
        self.left += 1;
    }
}

fn report(what: &str, why: &str) {
    tracing::warn!(target: SCOPE, "Left in place and not imported: {what}: {why}");
}

/// Makes jobs of all reminders of a document that are not yet among the progress.
async fn schedule_all(
    rows: &Rows<'_>,
    scheduler: &scheduler::Client,
    key: &str,
    reminders: Vec<Result<Reminder, String>>,
    progress: &mut Progress,
) -> Result<(), Error> {
    let now = Timestamp::now();
    let mut waiting = Vec::with_capacity(reminders.len());
    for (number, reminder) in reminders.into_iter().enumerate() {
        let name = match &reminder {
            Ok(reminder) => reminder.track(),
            Err(_) => format!("{key}, number {number}"),
        };
        if !progress.reminders.contains(&name) {
            waiting.push((name, reminder));
        }
    }
    let fates = waiting.into_iter().map(async |(name, reminder)| {
        let fate = match reminder {
            Ok(reminder) => schedule(rows, scheduler, &reminder, now).await?,
            Err(e) => Fate::Left(e),
        };
        Ok::<_, Error>((name, fate))
    });
    let mut fates = stream::iter(fates).buffer_unordered(AT_A_TIME);
    while let Some(fate) = fates.next().await {
        let (name, fate) = fate?;
        let counts = &mut progress.counts;
        match fate {
            Fate::Imported => counts.imported += 1,
            Fate::Present => counts.present += 1,
            Fate::Over => counts.over += 1,
            Fate::Left(why) => counts.leave(&name, &why),
        }
        progress.reminders.insert(name);
    }
    Ok(())
}

async fn schedule(
    rows: &Rows<'_>,
    scheduler: &scheduler::Client,
    reminder: &Reminder,
    now: Timestamp,
) -> Result<Fate, Error> {
    let track = rows.get(&reminder.track(), None).await?;
    let fired = track.and_then(|item| Fired::read(&item.data));
    let job = match reminder.job(fired, now) {
        Ok(Some(job)) => job,
        Ok(None) => return Ok(Fate::Over),
        Err(why) => return Ok(Fate::Left(why)),
    };
    let target = Target::Actor {
        kind: &reminder.actor.kind,
        id: &reminder.actor.id,
    };
    let scheduled = scheduler.schedule(reminder.name.clone(), job, target, false);
    match scheduled.await {
        Ok(()) => Ok(Fate::Imported),
        Err(e) if e.code() == Code::AlreadyExists => Ok(Fate::Present),
        Err(e) if refuses(&e) => Ok(Fate::Left(e.to_string())),
        Err(e) => Err(e.into()),
    }
}

/// Whether the scheduler itself says that it will never take the job. A connection that
/// breaks may have the same code; it has a cause.
fn refuses(error: &scheduler::Error) -> bool {
    let scheduler::Error::Call(status) = error else {
        return false;
    };
    let invalid = matches!(status.code(), Code::Unknown | Code::InvalidArgument);
    invalid && std::error::Error::source(&**status).is_none()
}

/// The rows of one type. Those of an actor type have no app id in front.
struct Rows<'a> {
    store: &'a Store,
    kind: &'a str,
}

impl Rows<'_> {
    fn marker(&self) -> String {
        format!("actors||{}||imported", self.kind)
    }

    async fn are_imported(&self) -> Result<bool, Error> {
        let marker = self.get(&self.marker(), None).await?;
        Ok(marker.is_some())
    }

    /// The keys of the documents, each with the partition of the store that it is in where
    /// it does not follow from the key; `None` when it is not known which there are.
    async fn documents(&self) -> Result<Option<Vec<(String, Option<String>)>>, Error> {
        let whole = format!("actors||{}", self.kind);
        let key = format!("{whole}||metadata");
        let Some(row) = self.get(&key, Some(whole.clone())).await? else {
            return Ok(Some(vec![(whole, None)]));
        };
        let why = match serde_json::from_slice::<Layout>(&row.data) {
            // The document before it was parted stays, and is out of date.
            Ok(layout) if layout.partitions() > MOST_PARTITIONS => {
                format!("more than {MOST_PARTITIONS} partitions")
            }
            Ok(layout) if layout.partitions() > 0 => {
                let key = |n| format!("{whole}||{}||reminders||{n}", layout.id);
                let keys = (1..=layout.partitions()).map(|n| (key(n), Some(layout.id.clone())));
                return Ok(Some(keys.collect()));
            }
            Ok(_) => return Ok(Some(vec![(whole, None)])),
            Err(e) => e.to_string(),
        };
        report(&key, &why);
        Ok(None)
    }

    async fn get(&self, key: &str, partition: Option<String>) -> Result<Option<Item>, Error> {
        let partition = partition.map(|id| (super::state::PARTITION_KEY.to_owned(), id));
        let request = GetRequest {
            key: key.to_owned(),
            metadata: partition.into_iter().collect(),
            ..GetRequest::default()
        };
        let item = self.store.get_raw(request).await?;
        Ok(item.filter(|item| !item.data.is_empty()))
    }

    /// Notes for all sidecars that it has been done. The first one's note stays.
    async fn mark(&self, counts: &Counts) -> Result<(), Error> {
        let note = serde_json::json!({"time": Timestamp::now().to_string(), "reminders": counts});
        let key = self.marker();
        let partition = (super::state::PARTITION_KEY.to_owned(), key.clone());
        let set = SetRequest {
            concurrency: Concurrency::FirstWrite,
            ..SetRequest::new(key, Value::Json(note.to_string().into()))
        };
        let written = self
            .store
            .transact_raw(vec![Operation::Set(set)], Metadata::from([partition]));
        match written.await {
            Err(e) if !self.are_imported().await? => Err(e.into()),
            _ => Ok(()),
        }
    }
}
