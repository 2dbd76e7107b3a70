//! Group commit: while one commit reaches the disk, the next one gathers.

use std::sync::Arc;

use redb::{Database, Durability, WriteTransaction};
use service::Tasks;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::file::File;
use super::follow::Feed;
use super::tables::{Batch, Changed};
use crate::store::{Change, Command, Error, Outcome};

/// The most commands of one commit.
const MOST: usize = 1024;

/// A command, and who waits for what becomes of it.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Answer>,
}

type Answer = Result<Outcome, Error>;
/// What became of each command of a commit, and of jobs.
type Done = Result<(Vec<Outcome>, Vec<Change>), Error>;

/// Has commands written until it is told to end; what is queued by then is still
/// written. Calls run on the threads that this runs on: so those of a connection come
/// together, and a commit wakes them once.
pub(super) async fn run(
    mut requests: mpsc::Receiver<Request>,
    writer: Writer,
    feed: &Feed,
    end: &CancellationToken,
) {
    let Writer { batches, mut done } = writer;
    let mut batch = Vec::new();
    while gather(&mut requests, &mut batch, end).await > 0 {
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|r| (r.command, r.answer)).unzip();
        // The thread outlives this, unless it panics.
        let _ = batches.send(commands).await;
        let Some(done) = done.recv().await else { break };
        tell(answers, done, feed).await;
    }
    feed.close();
}

async fn gather(
    requests: &mut mpsc::Receiver<Request>,
    batch: &mut Vec<Request>,
    end: &CancellationToken,
) -> usize {
    tokio::select! {
        count = requests.recv_many(batch, MOST) => return count,
        () = end.cancelled() => requests.close(),
    }
    requests.recv_many(batch, MOST).await
}

async fn tell(answers: Vec<oneshot::Sender<Answer>>, done: Done, feed: &Feed) {
    let outcomes = match done {
        Ok((outcomes, changes)) => {
            // Whoever asks after the answer finds the change on its way.
            feed.send(changes).await;
            outcomes.into_iter().map(Ok).collect()
        }
        Err(e) => vec![Err(e); answers.len()],
    };
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        // A caller that gave up does not mind.
        let _ = answer.send(outcome);
    }
}

/// The thread that writes, as it is seen from the others.
pub(super) struct Writer {
    batches: mpsc::Sender<Vec<Command>>,
    done: mpsc::Receiver<Done>,
}

impl Writer {
    pub(super) fn start(file: Arc<File>, tasks: &Tasks) -> Self {
        let (batches, mut commands) = mpsc::channel(1);
        let (results, done) = mpsc::channel(1);
        tasks.spawn_blocking("writer of the store", move || {
            while let Some(commands) = commands.blocking_recv() {
                // Nobody listens any more when there was a panic.
                let _ = results.blocking_send(commit(commands, &file));
            }
        });
        Self { batches, done }
    }
}

/// Does the commands as one commit, which is in the log before anyone sees it.
fn commit(commands: Vec<Command>, file: &File) -> Done {
    let database = file.database()?;
    let (writing, outcomes, changed) = perform(&database, commands).map_err(|e| file.fault(&e))?;
    let Some((changes, frame)) = changed else {
        return Ok((outcomes, Vec::new()));
    };
    let logged = file.log().append(&frame);
    let logged = logged.inspect_err(|_| file.log().take_back());
    let logged = logged.map_err(|e| file.told(&redb::Error::Io(e)))?;
    match publish(writing, logged) {
        Ok(()) if logged => {}
        Ok(()) => file.log().restart(),
        Err(e) => {
            if logged {
                file.log().take_back();
            }
            return Err(file.fault(&e));
        }
    }
    Ok((outcomes, changes))
}

fn perform(
    database: &Database,
    commands: Vec<Command>,
) -> Result<(WriteTransaction, Vec<Outcome>, Changed), redb::Error> {
    let writing = database.begin_write()?;
    let mut tables = Batch::new(&writing)?;
    let outcomes = commands.into_iter().map(|c| tables.apply(c));
    let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
    let changed = tables.finish()?;
    Ok((writing, outcomes, changed))
}

/// Lets everyone see it. What is not in the log has to be on the disk here.
fn publish(mut writing: WriteTransaction, logged: bool) -> Result<(), redb::Error> {
    if logged {
        writing.set_durability(Durability::None)?;
    } else {
        // After a crash the file need not be walked.
        writing.set_quick_repair(true);
    }
    writing.commit()?;
    Ok(())
}
