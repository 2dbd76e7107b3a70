//! Following a range of keys: events in order, each with the pair before it,
//! without a gap when the connection breaks.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tonic::Streaming;

use super::{Client, Error, Verdict, Waits};
use crate::etcd::wire::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::wire::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::etcd::wire::mvccpb::Event;

/// A watch that goes on at another member when its own is gone.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    key: Bytes,
    end: Bytes,
    /// The first revision that was not reported yet.
    next: i64,
    answers: Option<Streaming<WatchResponse>>,
    /// None while it goes well, so that the first trouble costs no time.
    waits: Option<Waits>,
}

/// The watch cannot go on: events were missed, and what is followed must be read anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watch is lost: {0}")]
pub struct Lost(pub String);

impl Client {
    /// Follows the keys from `key` up to `end`; the first events are those of
    /// revision `from`.
    pub fn watch(&self, key: impl Into<Bytes>, end: Bytes, from: i64) -> Watch {
        Watch {
            client: self.clone(),
            key: key.into(),
            end,
            next: from,
            answers: None,
            waits: None,
        }
    }
}

impl Watch {
    /// The next events, at least one; the last revision may be in parts, of which
    /// some come again after a broken connection. Nothing is lost when the future
    /// is dropped.
    ///
    /// # Errors
    /// [`Lost`] when the next revision is compacted or etcd ended the watch.
    pub async fn next(&mut self) -> Result<Vec<Event>, Lost> {
        loop {
            let Some(answers) = &mut self.answers else {
                self.open().await?;
                continue;
            };
            match answers.message().await {
                Ok(Some(answer)) => {
                    if let Some(events) = self.take(answer)? {
                        return Ok(events);
                    }
                }
                // Whatever ended it, opening it again tells whether that is final.
                Ok(None) | Err(_) => {
                    self.answers = None;
                    self.client.leave_now();
                    self.pause().await;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<(), Lost> {
        let create = WatchCreateRequest {
            key: self.key.clone(),
            range_end: self.end.clone(),
            start_revision: self.next,
            progress_notify: true,
            prev_kv: true,
            fragment: true,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        let requests = stream::once(async move { request }).chain(stream::pending());
        match self
            .client
            .stream("/etcdserverpb.Watch/Watch", requests)
            .await
        {
            Ok(answers) => self.answers = Some(answers),
            Err(Verdict::Final(error)) => return Err(Lost(error.to_string())),
            Err(Verdict::Login) => {}
            Err(Verdict::Again) => self.pause().await,
        }
        Ok(())
    }

    async fn pause(&mut self) {
        match &mut self.waits {
            None => self.waits = Some(Waits::default()),
            Some(waits) => sleep(waits.next(rand::random())).await,
        }
    }

    fn take(&mut self, answer: WatchResponse) -> Result<Option<Vec<Event>>, Lost> {
        if answer.canceled {
            return Err(Lost(match answer.compact_revision {
                0 => answer.cancel_reason,
                _ => Error::Compacted.to_string(),
            }));
        }
        self.waits = None;
        let Some(last) = answer.events.last() else {
            // What tells only how far the store is spares a later watch the way.
            if let Some(header) = answer.header.filter(|_| !answer.created) {
                self.next = self.next.max(header.revision + 1);
            }
            return Ok(None);
        };
        let revision = last.kv.as_ref().map_or(0, |pair| pair.mod_revision);
        let whole = i64::from(!answer.fragment);
        self.next = self.next.max(revision + whole);
        Ok(Some(answer.events))
    }
}
