//! Writing, as far as upstream's command line tool writes: jobs and counters are put
//! and removed through the store's own commands, so that the engine sees them.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use super::Face;
use super::span::{Section, Span, spans};
use crate::etcd::wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcd::wire::etcdserverpb::request_op::Request;
use crate::etcd::wire::etcdserverpb::response_op::Response;
use crate::etcd::wire::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RequestOp,
    ResponseOp, TxnRequest, TxnResponse,
};
use crate::etcd::wire::mvccpb::KeyValue;
use crate::records::{api, stored};
use crate::store::{Command, Store};

/// The most operations of one transaction: the default of --etcd-max-txn-ops.
const MOST_OPERATIONS: usize = 10_000;
/// The longest name of a job, in bytes.
const LONGEST_NAME: usize = 512;
/// The most keys that are removed one by one.
const MOST_REMOVED: usize = 100_000;
/// The last second of the year 9999.
const NEVER: i64 = 253_402_300_799;

/// Counters that are put together with their jobs, by name.
type Paired = HashMap<String, stored::Counter>;

impl Face {
    /// Applies the operations of one branch, one after the other.
    pub(super) async fn transact(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        let mut succeeded = true;
        for compare in &request.compare {
            succeeded &= self.holds(compare).await?;
        }
        let operations = match succeeded {
            true => request.success,
            false => request.failure,
        };
        let paired = paired(&operations)?;
        let mut responses = Vec::with_capacity(operations.len());
        for operation in operations {
            let response = match operation.request {
                Some(Request::RequestRange(range)) => {
                    Response::ResponseRange(self.read(range).await?)
                }
                Some(Request::RequestPut(put)) => {
                    Response::ResponsePut(self.put_with(put, &paired).await?)
                }
                Some(Request::RequestDeleteRange(range)) => {
                    Response::ResponseDeleteRange(self.remove(range).await?)
                }
                _ => return Err(Status::unimplemented("transactions are not nested")),
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        Ok(TxnResponse {
            header: Some(self.header().await?),
            succeeded,
            responses,
        })
    }

    /// Whether a condition on one key holds now.
    async fn holds(&self, compare: &Compare) -> Result<bool, Status> {
        let unknown = || Status::unimplemented("conditions are on the revision of one key");
        let (wanted, target) = match (compare.target_union.as_ref(), compare.target()) {
            (Some(TargetUnion::Version(wanted)), CompareTarget::Version) => (*wanted, "version"),
            (Some(TargetUnion::CreateRevision(wanted)), CompareTarget::Create)
            | (Some(TargetUnion::ModRevision(wanted)), CompareTarget::Mod) => (*wanted, "revision"),
            _ => return Err(unknown()),
        };
        if !compare.range_end.is_empty() {
            return Err(unknown());
        }
        let mut found = 0;
        for span in spans(&compare.key, &compare.range_end) {
            let mut show = |pair: KeyValue| {
                found = if target == "version" {
                    pair.version
                } else {
                    pair.mod_revision
                };
                Ok(ControlFlow::Continue(()))
            };
            let _ = self.walk(&span, &mut show).await?;
        }
        Ok(match compare.result() {
            CompareResult::Equal => found == wanted,
            CompareResult::NotEqual => found != wanted,
            CompareResult::Greater => found > wanted,
            CompareResult::Less => found < wanted,
        })
    }

    pub(super) async fn put_one(&self, request: PutRequest) -> Result<PutResponse, Status> {
        self.put_with(request, &Paired::new()).await
    }

    async fn put_with(&self, put: PutRequest, paired: &Paired) -> Result<PutResponse, Status> {
        if put.lease != 0 || put.prev_kv || put.ignore_value || put.ignore_lease {
            let text = "keys are put whole, without leases and what was before";
            return Err(Status::unimplemented(text));
        }
        match writable(&put.key)? {
            // It goes in with its job.
            (Section::Counters, name) if paired.contains_key(name) => {}
            (Section::Counters, name) => {
                let Some(record) = self.record(name).await? else {
                    let text = format!("counter {name:?} has no job: put the job first");
                    return Err(Status::failed_precondition(text));
                };
                let counter = decode(&put.value)?;
                self.put_job(name, *record.job, Some(counter)).await?;
            }
            (_, name) => {
                let counter = paired.get(name).cloned();
                self.put_job(name, decode(&put.value)?, counter).await?;
            }
        }
        Ok(PutResponse {
            header: Some(self.header().await?),
            prev_kv: None,
        })
    }

    /// Writes a job that has its counter from the first moment on: until the counter
    /// is there, one that is never due holds the name.
    async fn put_job(
        &self,
        name: &str,
        job: stored::Job,
        counter: Option<stored::Counter>,
    ) -> Result<(), Status> {
        if let Some(counter) = counter {
            self.write(name, never(&job)).await?;
            let revision = self.record(name).await?.map_or(0, |record| record.revision);
            let command = Command::PutCounter {
                key: name.into(),
                revision,
                counter,
            };
            self.store.apply(command).await?;
        }
        self.write(name, job).await
    }

    async fn write(&self, name: &str, job: stored::Job) -> Result<(), Status> {
        let command = Command::Put {
            key: name.into(),
            job: Box::new(job),
            overwrite: true,
        };
        self.store.apply(command).await?;
        Ok(())
    }

    /// Removes what a range covers of jobs and counters. A job takes its counter
    /// along.
    pub(super) async fn remove(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Status> {
        if request.key.is_empty() {
            return Err(Status::invalid_argument("etcdserver: key is not provided"));
        }
        let (mut deleted, mut before) = (0, Vec::new());
        for span in spans(&request.key, &request.range_end) {
            if span.section == Section::Leadership {
                continue;
            }
            let mut names = Vec::new();
            let mut show = |pair: KeyValue| {
                if let Some((_, name)) = Section::of(&pair.key) {
                    names.push(name.to_owned());
                }
                if request.prev_kv {
                    before.push(pair);
                }
                match names.len() {
                    ..=MOST_REMOVED => Ok(ControlFlow::Continue(())),
                    _ => Err(Status::resource_exhausted(
                        "too many keys at once: remove a part of them",
                    )),
                }
            };
            let _ = self.walk(&span, &mut show).await?;
            deleted += names.len() as i64;
            self.remove_names(&span, names).await?;
        }
        Ok(DeleteRangeResponse {
            header: Some(self.header().await?),
            deleted,
            prev_kvs: before,
        })
    }

    async fn remove_names(&self, span: &Span, names: Vec<String>) -> Result<(), Status> {
        if let (Section::Jobs, Some(prefix)) = (span.section, span.prefix()) {
            let prefix = prefix.to_owned();
            self.store.apply(Command::DeletePrefix { prefix }).await?;
            return Ok(());
        }
        for name in names {
            let key = name.into();
            let command = match span.section {
                // No job has this revision, and so only the counter goes.
                Section::Counters => Command::End { key, revision: 0 },
                _ => Command::Delete { key },
            };
            self.store.apply(command).await?;
        }
        Ok(())
    }
}

/// The counters among the operations whose jobs are there as well.
fn paired(operations: &[RequestOp]) -> Result<Paired, Status> {
    if operations.len() > MOST_OPERATIONS {
        return Err(Status::invalid_argument(
            "etcdserver: too many operations in txn request",
        ));
    }
    let puts = || {
        operations
            .iter()
            .filter_map(|operation| match &operation.request {
                Some(Request::RequestPut(put)) => Some((Section::of(&put.key)?, &put.value)),
                _ => None,
            })
    };
    let jobs = puts().filter(|((section, _), _)| *section == Section::Jobs);
    let jobs: HashSet<_> = jobs.map(|((_, name), _)| name).collect();
    let counters =
        puts().filter(|((section, name), _)| *section == Section::Counters && jobs.contains(name));
    counters
        .map(|((_, name), value)| Ok((name.to_owned(), decode(value)?)))
        .collect()
}

/// A key that may be written.
fn writable(key: &[u8]) -> Result<(Section, &str), Status> {
    match Section::of(key) {
        Some((Section::Jobs | Section::Counters, "")) | None => {}
        Some((Section::Leadership, _)) => {}
        Some((_, name)) if name.len() > LONGEST_NAME => {}
        Some(found) => return Ok(found),
    }
    Err(Status::invalid_argument(
        "only dapr/jobs/<name> and dapr/counters/<name> are written, \
         with names of at most 512 bytes",
    ))
}

fn decode<M: Message + Default>(value: &Bytes) -> Result<M, Status> {
    let invalid = |e| Status::invalid_argument(format!("the value is not one of Dapr's: {e}"));
    M::decode(value.clone()).map_err(invalid)
}

/// A job like this one, with a due time that does not come.
fn never(job: &stored::Job) -> stored::Job {
    let due_time = Timestamp {
        seconds: NEVER,
        nanos: 0,
    };
    stored::Job {
        partition_id: job.partition_id,
        begin: Some(stored::job::Begin::DueTime(due_time)),
        expiration: None,
        job: Some(api::Job {
            due_time: Some("9999-12-31T23:59:59Z".into()),
            metadata: job.job.as_ref().and_then(|job| job.metadata.clone()),
            ..api::Job::default()
        }),
    }
}
