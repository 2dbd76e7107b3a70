//! What the scheduler keeps, by the way of its etcd: jobs with their counters.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::wire::{
    etcdserverpb::{
        DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
        kv_client::KvClient, request_op::Request, response_op::Response,
    },
    mvccpb::KeyValue,
};

const JOBS: &str = "dapr/jobs/";
const COUNTERS: &str = "dapr/counters/";

const CONNECT: Duration = Duration::from_secs(5);
/// One call, a page of jobs included.
const CALL: Duration = Duration::from_secs(30);
/// Jobs that are asked for at a time; many, since whoever answers may count all the others too.
pub(super) const PAGE: u16 = 10_000;
/// Larger answers are refused, and smaller pages asked for.
const MAX_ANSWER: usize = 64 << 20;
/// Names are at most 512 bytes; the rest is for the prefix.
const MAX_KEY: usize = 1 << 10;

/// A job, its value and that of its counter as the scheduler keeps them. It has no counter
/// before it was triggered for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) job: Bytes,
    pub(crate) counter: Option<Bytes>,
}

/// A connection to the etcd of a scheduler.
#[derive(Clone)]
pub(crate) struct Store {
    client: KvClient<Channel>,
    address: String,
}

impl Store {
    /// Connects to `HOST:PORT`.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .with_context(|| format!("{address:?} is not an address; write HOST:PORT"))?
            .connect_timeout(CONNECT)
            .timeout(CALL);
        let channel = endpoint.connect().await.map_err(|_| {
            anyhow!(
                "no scheduler can be reached at {address}; `dapr status` shows whether one runs, \
                 `dapr init` starts it, and --etcd-address names another"
            )
        })?;
        Ok(Self {
            client: KvClient::new(channel).max_decoding_message_size(MAX_ANSWER),
            address: address.to_owned(),
        })
    }

    /// One job by its name.
    pub(crate) async fn get(&mut self, name: &str) -> Result<Option<Entry>> {
        let Some(job) = self.value(JOBS, name).await? else {
            return Ok(None);
        };
        Ok(Some(Entry {
            name: name.to_owned(),
            job,
            counter: self.value(COUNTERS, name).await?,
        }))
    }

    async fn value(&mut self, folder: &str, name: &str) -> Result<Option<Bytes>> {
        let request = RangeRequest {
            key: format!("{folder}{name}").into(),
            range_end: Bytes::new(),
            limit: 0,
        };
        let answer = self.client.range(request).await;
        let answer = answer.map_err(|status| self.explain(&status))?;
        let mut found = answer.into_inner().kvs.into_iter();
        Ok(found.next().map(|pair| pair.value))
    }

    /// All jobs whose names begin so, in the order of their names.
    ///
    /// They are read in pages, each as it is when it is read: jobs may come and go meanwhile.
    pub(crate) fn scan(&self, prefix: &str) -> Scan {
        Scan {
            jobs: Pages::new(self, JOBS, prefix),
            counters: Pages::new(self, COUNTERS, prefix),
        }
    }

    /// Removes one job, and tells whether it was there.
    pub(crate) async fn delete(&mut self, name: &str) -> Result<bool> {
        let ranges = [JOBS, COUNTERS].map(|folder| (format!("{folder}{name}"), Bytes::new()));
        let deleted = self.delete_ranges(&ranges).await?;
        Ok(deleted.first().is_some_and(|count| *count > 0))
    }

    /// Removes all jobs whose names begin in one of these ways, all at once, and counts them.
    pub(crate) async fn delete_all(&mut self, prefixes: &[String]) -> Result<u64> {
        let folders = [JOBS, COUNTERS];
        let ranges: Vec<(String, Bytes)> = folders
            .iter()
            .flat_map(|folder| {
                prefixes
                    .iter()
                    .map(move |prefix| format!("{folder}{prefix}"))
            })
            .map(|key| (key.clone(), end(&key)))
            .collect();
        let deleted = self.delete_ranges(&ranges).await?;
        Ok(deleted.iter().take(prefixes.len()).sum())
    }

    async fn delete_ranges(&mut self, ranges: &[(String, Bytes)]) -> Result<Vec<u64>> {
        let delete = |(key, range_end): &(String, Bytes)| {
            Request::RequestDeleteRange(DeleteRangeRequest {
                key: key.clone().into(),
                range_end: range_end.clone(),
            })
        };
        let answer = self.apply(ranges.iter().map(delete)).await?;
        let count = |response| match response {
            Some(Response::ResponseDeleteRange(deleted)) => deleted.deleted.try_into().ok(),
            _ => None,
        };
        let responses = answer.responses.into_iter();
        let counts: Option<Vec<u64>> = responses.map(|one| count(one.response)).collect();
        counts
            .filter(|counts| counts.len() == ranges.len())
            .ok_or_else(|| self.strange("it does not count what was deleted"))
    }

    /// Writes jobs, all or none; one of the same name is replaced.
    pub(crate) async fn put(&mut self, entries: Vec<Entry>) -> Result<()> {
        let put = |folder: &str, name: &str, value| {
            Request::RequestPut(PutRequest {
                key: format!("{folder}{name}").into(),
                value,
            })
        };
        let writes = entries.into_iter().flat_map(|entry| {
            // The counter first: whoever sees the job must not take it for one that never ran.
            let counter = entry.counter.map(|value| put(COUNTERS, &entry.name, value));
            counter
                .into_iter()
                .chain([put(JOBS, &entry.name, entry.job)])
        });
        self.apply(writes).await.map(drop)
    }

    async fn apply(&mut self, requests: impl Iterator<Item = Request>) -> Result<TxnResponse> {
        let operation = |request| RequestOp {
            request: Some(request),
        };
        let transaction = TxnRequest {
            success: requests.map(operation).collect(),
        };
        match self.client.txn(transaction).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.explain(&status)),
        }
    }

    fn explain(&self, status: &Status) -> anyhow::Error {
        match status.code() {
            Code::Unimplemented => self.strange(status.message()),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => anyhow!(
                "the scheduler at {} has stopped answering: {}; `dapr status` shows whether it \
                 runs",
                self.address,
                status.message()
            ),
            _ => anyhow!(
                "the scheduler at {} refuses: {}",
                self.address,
                status.message()
            ),
        }
    }

    fn strange(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "what answers at {} is not a scheduler's etcd ({what}); give the right address with \
             --etcd-address",
            self.address
        )
    }
}

/// Jobs with their counters, one after the other.
pub(crate) struct Scan {
    jobs: Pages,
    counters: Pages,
}

impl Scan {
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        let Some((name, job)) = self.jobs.next().await? else {
            return Ok(None);
        };
        // Both come in the order of their names. Counters without a job are left over.
        while self
            .counters
            .peek()
            .await?
            .is_some_and(|counter| *counter < name)
        {
            self.counters.next().await?;
        }
        let mut counter = None;
        if self.counters.peek().await? == Some(&name) {
            counter = self.counters.next().await?.map(|(_, value)| value);
        }
        Ok(Some(Entry { name, job, counter }))
    }
}

/// The pairs of one folder by name, read a page at a time.
struct Pages {
    store: Store,
    folder: &'static str,
    /// Where the next page begins; nothing after the last one.
    from: Option<Bytes>,
    end: Bytes,
    limit: i64,
    read: VecDeque<(String, Bytes)>,
}

impl Pages {
    fn new(store: &Store, folder: &'static str, prefix: &str) -> Self {
        let from = format!("{folder}{prefix}");
        Self {
            store: store.clone(),
            folder,
            end: end(&from),
            from: Some(from.into()),
            limit: PAGE.into(),
            read: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<(String, Bytes)>> {
        self.fill().await?;
        Ok(self.read.pop_front())
    }

    async fn peek(&mut self) -> Result<Option<&String>> {
        self.fill().await?;
        Ok(self.read.front().map(|(name, _)| name))
    }

    async fn fill(&mut self) -> Result<()> {
        while self.read.is_empty()
            && let Some(from) = self.from.take()
        {
            let request = RangeRequest {
                key: from.clone(),
                range_end: self.end.clone(),
                limit: self.limit,
            };
            let page = match self.store.client.range(request).await {
                Ok(page) => page.into_inner(),
                Err(status) if is_too_large(&status) && self.limit > 1 => {
                    self.limit = (self.limit / 4).max(1);
                    self.from = Some(from);
                    continue;
                }
                Err(status) => return Err(self.store.explain(&status)),
            };
            let more = page.more && !page.kvs.is_empty();
            let mut least = from;
            for KeyValue { key, value } in page.kvs {
                // Whatever answers, each page must bring us nearer to the end.
                if key < least || key >= self.end || key.len() > MAX_KEY {
                    return Err(self.store.strange("its keys are not in order"));
                }
                least = after(&key);
                let name = std::str::from_utf8(&key)
                    .ok()
                    .and_then(|key| key.strip_prefix(self.folder));
                let Some(name) = name else {
                    return Err(self.store.strange("a key is no text"));
                };
                self.read.push_back((name.to_owned(), value));
            }
            self.from = more.then_some(least);
        }
        Ok(())
    }
}

/// An answer that is more than can be taken, said by either side.
fn is_too_large(status: &Status) -> bool {
    matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted)
}

/// The least key after this one.
fn after(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

/// The least key after all that begin so.
fn end(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    // A byte of text is never the largest one, so the last can be counted up.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}
