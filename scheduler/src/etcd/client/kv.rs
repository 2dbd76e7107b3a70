//! Keys and values: transactions, and ranges in pages of one revision.

use bytes::Bytes;

use super::{Client, Error};
use crate::etcd::keys::after;
use crate::etcd::wire::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::etcd::wire::mvccpb::KeyValue;

impl Client {
    /// Reads keys.
    ///
    /// # Errors
    /// As [`Error`] says; [`Error::Compacted`] for a revision that is gone.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        self.call("/etcdserverpb.KV/Range", request).await
    }

    /// Does all of it or nothing. An attempt whose answer was lost is repeated: the
    /// transaction must bear that.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        self.call("/etcdserverpb.KV/Txn", request).await
    }

    /// Reads the keys from `key` up to `end`, in order, at most `limit` at once and
    /// all of one revision: the present one for 0.
    pub fn pages(&self, key: impl Into<Bytes>, end: Bytes, limit: i64, revision: i64) -> Pages {
        Pages {
            client: self.clone(),
            next: Some(key.into()),
            end,
            limit,
            revision,
        }
    }
}

/// A range that is read in parts.
#[derive(Debug)]
pub struct Pages {
    client: Client,
    next: Option<Bytes>,
    end: Bytes,
    limit: i64,
    revision: i64,
}

/// A part of a range.
#[derive(Debug)]
pub struct Page {
    pub pairs: Vec<KeyValue>,
    /// The revision of the whole range.
    pub revision: i64,
}

impl Pages {
    /// The next page, `None` after the last. A range without keys has one, empty
    /// page. A page that failed can be asked for again.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        let Some(key) = self.next.take() else {
            return Ok(None);
        };
        loop {
            let request = RangeRequest {
                key: key.clone(),
                range_end: self.end.clone(),
                limit: self.limit,
                revision: self.revision,
                ..RangeRequest::default()
            };
            match self.client.range(request).await {
                Ok(answer) => return Ok(Some(self.take(answer))),
                // Values may be of any size, so that the count alone is no bound.
                Err(Error::TooLarge(_)) if self.limit > 1 => self.limit /= 2,
                Err(error) => {
                    self.next = Some(key);
                    return Err(error);
                }
            }
        }
    }

    fn take(&mut self, answer: RangeResponse) -> Page {
        if self.revision == 0 {
            self.revision = answer.header.map_or(0, |header| header.revision);
        }
        let last = answer.kvs.last().filter(|_| answer.more);
        self.next = last.map(|pair| after(&pair.key));
        Page {
            pairs: answer.kvs,
            revision: self.revision,
        }
    }
}
