//! Group commit: while one commit reaches the disk, the next one gathers.

use redb::{Database, Durability, WriteTransaction};
use tokio::runtime::Handle;
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
    pub(super) answer: oneshot::Sender<Result<Outcome, Error>>,
}

/// Writes until it is told to end; what is queued by then is still written.
/// It blocks its thread.
pub(super) fn run(
    mut requests: mpsc::Receiver<Request>,
    file: &File,
    feed: &Feed,
    end: &CancellationToken,
) {
    let runtime = Handle::current();
    let mut batch = Vec::new();
    loop {
        runtime.block_on(async {
            tokio::select! {
                _ = requests.recv_many(&mut batch, MOST) => {}
                () = end.cancelled() => requests.close(),
            }
        });
        if batch.is_empty() {
            // After the end it takes what is left, without waiting.
            match requests.try_recv() {
                Ok(request) => batch.push(request),
                Err(_) => break,
            }
        }
        write(&mut batch, file, feed);
    }
    feed.close();
}

/// Makes one commit of the batch, and answers everyone in it.
fn write(batch: &mut Vec<Request>, file: &File, feed: &Feed) {
    let (commands, answers): (Vec<_>, Vec<_>) =
        batch.drain(..).map(|r| (r.command, r.answer)).unzip();
    match commit(commands, file) {
        Ok((outcomes, changes)) => {
            // Whoever asks after the answer finds the change on its way.
            feed.send(changes);
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // A caller that gave up does not mind.
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(e) => {
            for answer in answers {
                let _ = answer.send(Err(e.clone()));
            }
        }
    }
}

/// Does the commands as one commit, which is in the log before anyone sees it.
fn commit(commands: Vec<Command>, file: &File) -> Result<(Vec<Outcome>, Vec<Change>), Error> {
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
