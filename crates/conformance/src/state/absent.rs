//! What is not declared must not work: the runtime would never offer it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use component::state::{KeysRequest, Metadata, Operation};

use super::Subject;
use crate::report::throughout;

pub(super) async fn etags(s: &Subject) -> Result<()> {
    s.set("k", "1").await?;
    let item = s.item("k").await?.context("the item is missing")?;
    ensure!(
        item.etag.is_none(),
        "ETAG is not declared, but items have one"
    );
    Ok(())
}

pub(super) async fn transactions(s: &Subject) -> Result<()> {
    let ops = ["a", "b"].map(|name| Operation::Set(s.set_request(name, "1")));
    ensure!(
        s.store.transact(ops.into(), Metadata::new()).await.is_err(),
        "TRANSACTIONAL is not declared, but works"
    );
    Ok(())
}

/// A time to live may be refused or passed over.
pub(super) async fn ttl(s: &Subject) -> Result<()> {
    if s.store.set(s.ttl_request("k", "1")).await.is_err() {
        return Ok(());
    }
    let there = async || Ok(!s.absent("k").await?);
    throughout(
        Duration::from_secs(3),
        "TTL is not declared, so that the item stays",
        there,
    )
    .await
}

pub(super) async fn keys_like(s: &Subject) -> Result<()> {
    let request = KeysRequest {
        pattern: s.key("%"),
        ..KeysRequest::default()
    };
    ensure!(
        s.store.keys_like(request).await.is_err(),
        "KEYS_LIKE is not declared, but works"
    );
    Ok(())
}

pub(super) async fn delete_with_prefix(s: &Subject) -> Result<()> {
    let deleted = s.store.delete_with_prefix(&s.key("p")).await;
    ensure!(
        deleted.is_err(),
        "DELETE_WITH_PREFIX is not declared, but works"
    );
    Ok(())
}

pub(super) async fn queries(s: &Subject) -> Result<()> {
    let query = Bytes::from_static(br#"{"filter":{"EQ":{"a":"b"}}}"#);
    ensure!(
        s.store.query(query, Metadata::new()).await.is_err(),
        "QUERY_API is not declared, but works"
    );
    Ok(())
}
