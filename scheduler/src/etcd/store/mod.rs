//! Jobs in an etcd elsewhere, laid out as upstream's schedulers lay them out.

mod follow;
mod reading;

use futures_util::stream::{self, BoxStream, StreamExt};
use prost::Message;
use service::Tasks;
use tokio::sync::watch;
use tonic::async_trait;

use super::client::{self, Client, Options};
use super::keys::{COUNTERS, JOBS};
use super::requests::{delete, delete_prefix, get, is_of, put};
use super::ring::{self, Me, Term};
use super::wire::etcdserverpb::TxnRequest;
use super::wire::etcdserverpb::response_op::Response;
use crate::hosts::{Addresses, Hosts};
use crate::store::{Change, Command, Error, Key, Outcome, PAGE, Record, Store};
use follow::Follower;
use reading::Reading;

/// The store, and this scheduler's share of its jobs.
#[derive(Clone, Debug)]
pub struct External {
    client: Client,
    /// The present term; none while the schedulers have not agreed.
    terms: watch::Receiver<Option<Term>>,
}

impl External {
    /// Begins to share the jobs of this etcd as the scheduler `id` that sidecars
    /// reach at `address`. It leaves the others when the tasks are told to end, once
    /// nobody follows the store any more.
    ///
    /// # Errors
    /// When the options cannot work; etcd itself may come later.
    pub fn open(
        options: &Options,
        id: &str,
        address: &str,
        tasks: &Tasks,
    ) -> Result<(Self, Hosts), client::Error> {
        let client = Client::new(options)?;
        let me = Me {
            id: id.to_owned(),
            uid: rand::random(),
            address: address.to_owned(),
        };
        let (sender, terms) = watch::channel(None);
        let (addresses, all) = watch::channel(Addresses::default());
        let keeping = ring::keep(client.clone(), me, sender, addresses, tasks.token());
        tasks.spawn("ring", keeping);
        Ok((Self { client, terms }, Hosts::new(address, all)))
    }

    /// Calls wait while the schedulers come to an agreement.
    async fn agreed(&self) -> Result<(), Error> {
        if self.terms.borrow().is_some() {
            return Ok(());
        }
        let gone = |_| Error::Unavailable("the scheduler is ending".into());
        let mut terms = self.terms.clone();
        terms.wait_for(Option::is_some).await.map_err(gone)?;
        Ok(())
    }
}

#[async_trait]
impl Store for External {
    async fn apply(&self, command: Command) -> Result<Outcome, Error> {
        // What was fired is written in any case.
        if !matches!(command, Command::PutCounter { .. } | Command::End { .. }) {
            self.agreed().await?;
        }
        let call = Call::of(command);
        let answer = self.client.txn(call.request).await?;
        if answer.succeeded {
            return Ok(Outcome::Done);
        }
        // An attempt whose answer was lost may have written it.
        let found = answer.responses.into_iter().filter_map(|op| op.response);
        let ours = found.into_iter().any(|response| match response {
            Response::ResponseRange(found) => {
                let mut pairs = found.kvs.into_iter();
                pairs.any(|pair| Some(&pair.value) == call.created.as_ref())
            }
            _ => false,
        });
        Ok(if ours { Outcome::Done } else { call.otherwise })
    }

    async fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Record>>, Error> {
        self.agreed().await?;
        Ok(reading::read(&self.client, &keys).await?)
    }

    fn list(&self, prefix: String) -> BoxStream<'static, Result<Vec<Record>, Error>> {
        let store = self.clone();
        let reading = Reading::new(&self.client, &prefix, PAGE);
        let pages = stream::try_unfold(reading, move |mut reading| {
            let store = store.clone();
            async move {
                store.agreed().await?;
                let page = reading.next().await?;
                Ok(page.map(|page| (page.records, reading)))
            }
        });
        pages.boxed()
    }

    fn follow(&self) -> BoxStream<'static, Change> {
        let follower = Follower::new(self.client.clone(), self.terms.clone());
        let changes = stream::unfold(follower, |mut follower| async move {
            let change = follower.next().await?;
            Some((change, follower))
        });
        changes.boxed()
    }
}

/// A command as a transaction.
struct Call {
    request: TxnRequest,
    /// What it means when the condition does not hold.
    otherwise: Outcome,
    /// The value that is there if the condition did hold for a former attempt.
    created: Option<bytes::Bytes>,
}

impl Call {
    fn of(command: Command) -> Self {
        let (job, counter) = (
            |key: &str| format!("{JOBS}{key}"),
            |key: &str| format!("{COUNTERS}{key}"),
        );
        let mut request = TxnRequest::default();
        let (mut otherwise, mut created) = (Outcome::Changed, None);
        match command {
            Command::Put {
                key,
                job: value,
                overwrite,
            } => {
                let value = value.encode_to_vec();
                if !overwrite {
                    otherwise = Outcome::Exists;
                    // Two jobs are never equal: each has a random partition id.
                    created = Some(value.clone().into());
                    request.compare = vec![is_of(job(&key), 0)];
                    request.failure = vec![get(job(&key))];
                }
                request.success = vec![put(job(&key), value)];
            }
            Command::Delete { key } => {
                request.success = vec![delete(job(&key)), delete(counter(&key))];
            }
            Command::DeletePrefix { prefix } => {
                let ranges = [job(&prefix), counter(&prefix)];
                request.success = ranges.map(delete_prefix).into();
            }
            Command::PutCounter {
                key,
                revision,
                counter: value,
            } => {
                request.compare = vec![is_of(job(&key), revision.cast_signed())];
                request.success = vec![put(counter(&key), value.encode_to_vec())];
            }
            Command::End { key, revision } => {
                request.compare = vec![is_of(job(&key), revision.cast_signed())];
                request.success = vec![delete(job(&key)), delete(counter(&key))];
                request.failure = vec![delete(counter(&key))];
            }
        }
        Self {
            request,
            otherwise,
            created,
        }
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        let text = error.to_string();
        match error {
            client::Error::Unavailable(_) => Self::Unavailable(text),
            client::Error::Full(_) => Self::Full(text),
            _ => Self::Failed(text),
        }
    }
}

#[cfg(test)]
mod tests;
