//! The store of one node: a file and its log, every write in a commit that many share.

mod file;
mod follow;
mod frame;
mod log;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt};
use redb::{ReadableDatabase, StorageError};
use service::Tasks;
use tokio::sync::{mpsc, oneshot};
use tonic::async_trait;

use super::{Change, Command, Error, Key, Outcome, Record, Store};
use file::File;
use follow::Feed;
use tables::Snapshot;
use writer::{Request, Writer};

/// As many commands wait for the next commit; more wait with their callers.
const QUEUE: usize = 4096;

/// Jobs in a file of this process; clones are the same store.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<File>,
    feed: Arc<Feed>,
    queue: mpsc::Sender<Request>,
    tasks: Tasks,
}

impl Embedded {
    /// Opens the file in `folder`, or makes both. A file that is damaged or not
    /// ours is refused and left as it is.
    ///
    /// The store works until `tasks` are asked to end; what was queued by then
    /// is still written.
    pub async fn open(folder: &Path, tasks: &Tasks) -> Result<Self, String> {
        let folder = folder.to_owned();
        let opening = tasks.spawn_blocking("opening of the store", move || File::open(&folder));
        let file = opening
            .await
            .map_err(|_| "the store was not opened".to_owned())??;
        Ok(Self::start(file, tasks))
    }

    fn start(file: File, tasks: &Tasks) -> Self {
        let (file, feed) = (Arc::new(file), Arc::new(Feed::default()));
        let (queue, requests) = mpsc::channel(QUEUE);
        let writer = Writer::start(file.clone(), tasks);
        let (to, end) = (feed.clone(), tasks.token());
        tasks.spawn("commits of the store", async move {
            writer::run(requests, writer, &to, &end).await;
        });
        let tasks = tasks.clone();
        Self {
            file,
            feed,
            queue,
            tasks,
        }
    }

    /// The last revision that was given away.
    pub async fn revision(&self) -> Result<u64, Error> {
        self.reading(Snapshot::revision).await
    }

    /// The file's size in bytes.
    pub async fn size(&self) -> Result<u64, Error> {
        self.blocking(|file| Ok(file.size())).await
    }

    /// The part of [`Store::list`] that does not come before `from`.
    pub(crate) fn list_from(
        &self,
        prefix: String,
        from: String,
    ) -> BoxStream<'static, Result<Vec<Record>, Error>> {
        follow::list(self.clone(), prefix, from).boxed()
    }

    /// Reads what is stored at this moment.
    async fn reading<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T, StorageError> + Send + 'static,
    {
        self.blocking(|file| work(&snapshot(file)?).map_err(|e| file.fault(&e.into())))
            .await
    }

    /// Reads away from the threads that serve calls: a page may have to come
    /// from the disk.
    async fn blocking<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
    {
        let file = self.file.clone();
        let reading = self
            .tasks
            .spawn_blocking("reading of the store", move || work(&file));
        reading.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Store for Embedded {
    async fn apply(&self, command: Command) -> Result<Outcome, Error> {
        let (answer, answered) = oneshot::channel();
        let request = Request { command, answer };
        self.queue.send(request).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Record>>, Error> {
        self.reading(move |moment| keys.into_iter().map(|key| moment.get(key)).collect())
            .await
    }

    fn list(&self, prefix: String) -> BoxStream<'static, Result<Vec<Record>, Error>> {
        self.list_from(prefix, String::new())
    }

    fn follow(&self) -> BoxStream<'static, Change> {
        follow::follow(self.clone()).boxed()
    }
}

/// What is stored at this moment.
fn snapshot(file: &File) -> Result<Snapshot, Error> {
    let database = file.database()?;
    let reading = database.begin_read().map_err(|e| file.fault(&e.into()))?;
    Snapshot::new(&reading).map_err(|e| file.fault(&e))
}

fn gone() -> Error {
    Error::Unavailable("the store is shutting down".into())
}
