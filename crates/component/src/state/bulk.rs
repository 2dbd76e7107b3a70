//! Bulk operations for stores that have no native form: parallel singles.

use futures_util::stream::{self, StreamExt};

use super::{BulkError, BulkItem, DeleteRequest, GetRequest, SetRequest, StateStore};
use crate::{Error, Result};

pub(super) async fn get<S: StateStore + ?Sized>(
    store: &S,
    reqs: Vec<GetRequest>,
    parallelism: usize,
) -> Result<Vec<BulkItem>> {
    let limit = if parallelism == 0 {
        reqs.len().max(1)
    } else {
        parallelism
    };
    let calls = reqs.into_iter().map(|req| async move {
        let key = req.key.clone();
        BulkItem {
            key,
            result: store.get(req).await,
        }
    });
    Ok(stream::iter(calls).buffered(limit).collect().await)
}

pub(super) async fn set<S: StateStore + ?Sized>(
    store: &S,
    reqs: Vec<SetRequest>,
) -> Result<(), BulkError> {
    let calls = reqs.into_iter().map(|req| async move {
        let key = req.key.clone();
        (key, store.set(req).await)
    });
    joined(futures_util::future::join_all(calls).await)
}

pub(super) async fn delete<S: StateStore + ?Sized>(
    store: &S,
    reqs: Vec<DeleteRequest>,
) -> Result<(), BulkError> {
    let calls = reqs.into_iter().map(|req| async move {
        let key = req.key.clone();
        (key, store.delete(req).await)
    });
    joined(futures_util::future::join_all(calls).await)
}

fn joined(results: Vec<(String, Result<()>)>) -> Result<(), BulkError> {
    let failed: Vec<(String, Error)> = results
        .into_iter()
        .filter_map(|(k, r)| r.err().map(|e| (k, e)))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(BulkError(failed))
    }
}
