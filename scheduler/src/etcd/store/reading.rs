//! Jobs together with their counters, which lie elsewhere under the same names.

use std::collections::HashMap;

use prost::Message;

use crate::etcd::client::{Client, Error, Pages};
use crate::etcd::keys::{COUNTERS, JOBS, after, end_of};
use crate::etcd::requests::get;
use crate::etcd::wire::etcdserverpb::TxnRequest;
use crate::etcd::wire::etcdserverpb::response_op::Response;
use crate::etcd::wire::mvccpb::KeyValue;
use crate::records::stored;
use crate::store::{Key, Record};

/// etcd takes 128 operations in one transaction unless it is told otherwise.
const OPERATIONS: usize = 128;

/// All jobs whose names begin alike, in pages of one revision.
pub(super) struct Reading {
    client: Client,
    jobs: Pages,
}

/// Jobs in the order of their names.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    pub(super) revision: i64,
}

impl Reading {
    pub(super) fn new(client: &Client, prefix: &str, limit: usize) -> Self {
        let begin = format!("{JOBS}{prefix}");
        let end = end_of(begin.as_bytes());
        Self {
            jobs: client.pages(begin, end, limit as i64, 0),
            client: client.clone(),
        }
    }

    /// The next page, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        let Some(page) = self.jobs.next().await? else {
            return Ok(None);
        };
        let mut records: Vec<_> = page.pairs.iter().filter_map(record).collect();
        if let (Some(first), Some(last)) = (records.first(), records.last()) {
            let begin = format!("{COUNTERS}{}", first.key);
            let end = after(format!("{COUNTERS}{}", last.key).as_bytes());
            let limit = page.pairs.len() as i64;
            let mut pages = self.client.pages(begin, end, limit, page.revision);
            let mut counters = HashMap::new();
            while let Some(page) = pages.next().await? {
                counters.extend(page.pairs.iter().filter_map(counter));
            }
            for record in &mut records {
                record.counter = counters.remove(&*record.key);
            }
        }
        Ok(Some(Page {
            records,
            revision: page.revision,
        }))
    }
}

/// Jobs and counters by their names.
pub(super) async fn read(client: &Client, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
    let mut records = Vec::with_capacity(keys.len());
    for keys in keys.chunks(OPERATIONS / 2) {
        let jobs = keys.iter().map(|key| format!("{JOBS}{key}"));
        let counters = keys.iter().map(|key| format!("{COUNTERS}{key}"));
        let mut pairs = values(client, jobs.chain(counters).collect()).await?;
        let counters = pairs.split_off(keys.len());
        for (job, count) in pairs.iter().zip(&counters) {
            let mut record = job.as_ref().and_then(record);
            if let Some(record) = &mut record {
                record.counter = count.as_ref().and_then(counter).map(|(_, counter)| counter);
            }
            records.push(record);
        }
    }
    Ok(records)
}

/// Adds to jobs the counters that etcd has now.
pub(super) async fn count(client: &Client, records: &mut [Record]) -> Result<(), Error> {
    for records in records.chunks_mut(OPERATIONS) {
        let keys = records
            .iter()
            .map(|record| format!("{COUNTERS}{}", record.key));
        let pairs = values(client, keys.collect()).await?;
        for (record, pair) in records.iter_mut().zip(pairs) {
            record.counter = pair.as_ref().and_then(counter).map(|(_, counter)| counter);
        }
    }
    Ok(())
}

/// The pairs of at most [`OPERATIONS`] keys, in their order.
async fn values(client: &Client, keys: Vec<String>) -> Result<Vec<Option<KeyValue>>, Error> {
    let request = TxnRequest {
        success: keys.into_iter().map(get).collect(),
        ..TxnRequest::default()
    };
    let answer = client.txn(request).await?;
    let responses = answer.responses.into_iter();
    let pairs = responses.map(|operation| match operation.response {
        Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
        _ => None,
    });
    Ok(pairs.collect())
}

/// The job of a pair. One that nobody can read is passed over, but not in silence.
pub(super) fn record(pair: &KeyValue) -> Option<Record> {
    let key = name(&pair.key)?;
    match stored::Job::decode(pair.value.clone()) {
        Ok(job) => Some(Record {
            key: key.into(),
            revision: pair.mod_revision.cast_unsigned(),
            job: Box::new(job),
            counter: None,
        }),
        Err(error) => {
            tracing::error!(target: "dapr.scheduler.etcd", "job {key:?} cannot be read: {error}");
            None
        }
    }
}

/// The name of the job that lies under a key.
pub(super) fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(JOBS.as_bytes())?).ok()
}

/// The counter of a pair, with the name of its job.
fn counter(pair: &KeyValue) -> Option<(String, stored::Counter)> {
    let name = pair.key.strip_prefix(COUNTERS.as_bytes())?;
    let name = std::str::from_utf8(name).ok()?;
    let counter = stored::Counter::decode(pair.value.clone()).ok()?;
    Some((name.to_owned(), counter))
}
