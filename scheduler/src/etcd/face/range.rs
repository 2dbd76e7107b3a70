//! Reading ranges.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;
use futures_util::TryStreamExt;
use prost::Message;
use tonic::Status;

use super::Face;
use super::span::{Section, Span, spans};
use crate::etcd::wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::etcd::wire::etcdserverpb::{RangeRequest, RangeResponse};
use crate::etcd::wire::mvccpb::KeyValue;
use crate::store::{Record, Store};

/// Whether it is enough.
pub(super) type Enough = Result<ControlFlow<()>, Status>;

/// How many keys are counted that a limit leaves out: whoever reads a large range in
/// pages does not want all of it counted for each.
const MOST_COUNTED: usize = 10_000;
/// The most bytes of keys and values in one answer.
const MOST_BYTES: usize = 64 << 20;

impl Face {
    pub(super) async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        check(&request)?;
        if request.revision > 0 {
            self.is_now(request.revision).await?;
        }
        let mut found = Found::new(&request);
        for span in spans(&request.key, &request.range_end) {
            if self
                .walk(&span, &mut |pair| found.take(pair))
                .await?
                .is_break()
            {
                break;
            }
        }
        let header = self.header().await?;
        Ok(found.answer(header))
    }

    /// Only what is there now can be read.
    async fn is_now(&self, revision: i64) -> Result<(), Status> {
        let now = self.revision().await?;
        match revision.cmp(&now) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(Status::out_of_range(
                "etcdserver: mvcc: required revision has been compacted",
            )),
            std::cmp::Ordering::Greater => Err(Status::out_of_range(
                "etcdserver: mvcc: required revision is a future revision",
            )),
        }
    }

    /// Shows the pairs of a span, in order, until it is enough.
    pub(super) async fn walk(
        &self,
        span: &Span,
        show: &mut (dyn FnMut(KeyValue) -> Enough + Send),
    ) -> Enough {
        const MORE: Enough = Ok(ControlFlow::Continue(()));
        if span.section == Section::Leadership {
            return match span.contains(&self.member.id) {
                true => show(self.member.leadership()),
                false => MORE,
            };
        }
        if let Some(name) = span.single() {
            let record = self.record(name).await?;
            return match record.as_ref().and_then(|r| pair(span.section, r)) {
                Some(pair) => show(pair),
                None => MORE,
            };
        }
        // The semaphore is never closed.
        let _walk = self.walks.acquire().await.ok();
        let (stem, start) = (span.stem().to_owned(), span.start().to_owned());
        let mut pages = self.store.list_from(stem, start);
        while let Some(page) = pages.try_next().await? {
            for record in &page {
                if span.is_past(&record.key) {
                    return MORE;
                }
                if span.contains(&record.key)
                    && let Some(pair) = pair(span.section, record)
                    && show(pair)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        MORE
    }

    pub(super) async fn record(&self, name: &str) -> Result<Option<Record>, Status> {
        let records = self.store.read(vec![name.into()]).await?;
        Ok(records.into_iter().flatten().next())
    }
}

fn check(request: &RangeRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(Status::invalid_argument("etcdserver: key is not provided"));
    }
    let by_key = request.sort_target() == SortTarget::Key;
    if request.sort_order() != SortOrder::None && !by_key {
        return Err(Status::unimplemented("keys are sorted by key only"));
    }
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    match bounds {
        [0, 0, 0, 0] => Ok(()),
        _ => Err(Status::unimplemented("keys are not chosen by revision")),
    }
}

/// A job or its counter as etcd shows it. What was written when is known of jobs
/// only, and only of their last write.
fn pair(section: Section, record: &Record) -> Option<KeyValue> {
    let value = match section {
        Section::Jobs => record.job.encode_to_vec(),
        Section::Counters => record.counter.as_ref()?.encode_to_vec(),
        Section::Leadership => return None,
    };
    let revision = record.revision.cast_signed();
    Some(KeyValue {
        key: section.key(&record.key),
        value: value.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        lease: 0,
    })
}

/// The pairs that were asked for, and the number of all.
struct Found {
    pairs: VecDeque<KeyValue>,
    count: usize,
    bytes: usize,
    /// `usize::MAX` for all.
    limit: usize,
    descending: bool,
    keys_only: bool,
    count_only: bool,
}

impl Found {
    fn new(request: &RangeRequest) -> Self {
        Self {
            pairs: VecDeque::new(),
            count: 0,
            bytes: 0,
            limit: match request.limit {
                ..=0 => usize::MAX,
                limit => usize::try_from(limit).unwrap_or(usize::MAX),
            },
            descending: request.sort_order() == SortOrder::Descend,
            keys_only: request.keys_only,
            count_only: request.count_only,
        }
    }

    fn take(&mut self, mut pair: KeyValue) -> Enough {
        self.count += 1;
        if self.count_only {
            return Ok(ControlFlow::Continue(()));
        }
        if self.pairs.len() == self.limit && !self.descending {
            return Ok(match self.count - self.limit {
                ..MOST_COUNTED => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            });
        }
        if self.pairs.len() == self.limit
            && let Some(first) = self.pairs.pop_front()
        {
            self.bytes -= size(&first);
        }
        if self.keys_only {
            pair.value = Bytes::new();
        }
        self.bytes += size(&pair);
        self.pairs.push_back(pair);
        match self.bytes {
            ..=MOST_BYTES => Ok(ControlFlow::Continue(())),
            _ => Err(Status::resource_exhausted(
                "the answer is too large: ask for a part of it, with a limit",
            )),
        }
    }

    fn answer(self, header: super::Header) -> RangeResponse {
        let mut pairs = Vec::from(self.pairs);
        if self.descending {
            pairs.reverse();
        }
        RangeResponse {
            header: Some(header),
            more: !self.count_only && self.count > pairs.len(),
            count: self.count as i64,
            kvs: pairs,
        }
    }
}

fn size(pair: &KeyValue) -> usize {
    // With what a short pair costs beside its bytes.
    pair.key.len() + pair.value.len() + size_of::<KeyValue>()
}
