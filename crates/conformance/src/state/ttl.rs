use std::time::Duration;

use anyhow::{Context, Result, ensure};
use component::state::{
    Concurrency, Item, KeysRequest, Metadata, Operation, SetRequest, TTL_EXPIRE_TIME,
};
use jiff::{SignedDuration, Timestamp};

use super::Subject;
use crate::report::{eventually, throughout};

/// Some servers remove expired items in rounds.
const GONE: Duration = Duration::from_secs(20);

async fn gone(s: &Subject, name: &str) -> Result<()> {
    eventually(GONE, "the item is gone", async || s.absent(name).await).await
}

/// Stays longer than its first time to live.
async fn stays(s: &Subject, name: &str) -> Result<()> {
    throughout(Duration::from_secs(3), "the item is there", async || {
        Ok(!s.absent(name).await?)
    })
    .await
}

pub(super) async fn a_bad_one_is_refused(s: &Subject) -> Result<()> {
    for text in ["foo", "1.5", "10s"] {
        ensure!(
            s.store.set(s.ttl_request("k", text)).await.is_err(),
            "{text:?} was taken"
        );
    }
    ensure!(s.absent("k").await?, "a refused write left an item");
    Ok(())
}

pub(super) async fn an_item_expires(s: &Subject) -> Result<()> {
    s.store.set(s.ttl_request("k", "2")).await?;
    ensure!(
        s.data("k").await? == "short",
        "the item is not there at once"
    );
    gone(s, "k").await?;
    ensure!(
        s.bulk(&["k"], 0).await?.is_empty(),
        "a bulk get finds the expired item"
    );
    s.set("k", "again").await?;
    ensure!(
        s.data("k").await? == "again",
        "the key cannot be used again"
    );
    Ok(())
}

pub(super) async fn minus_one_clears_it(s: &Subject) -> Result<()> {
    s.store.set(s.ttl_request("k", "2")).await?;
    s.store.set(s.ttl_request("k", "-1")).await?;
    stays(s, "k").await
}

pub(super) async fn a_write_without_clears_it(s: &Subject) -> Result<()> {
    s.store.set(s.ttl_request("k", "2")).await?;
    s.set("k", "long").await?;
    stays(s, "k").await
}

pub(super) async fn items_tell_when_they_expire(s: &Subject) -> Result<()> {
    let hour = Timestamp::now() + SignedDuration::from_hours(1);
    s.store.set(s.ttl_request("k", "3600")).await?;
    let single = s.item("k").await?.context("the item is missing")?;
    let bulk = s
        .bulk(&["k"], 0)
        .await?
        .remove("k")
        .context("a bulk get misses the item")?;
    for item in [single, bulk] {
        let text = item
            .metadata
            .get(TTL_EXPIRE_TIME)
            .context("no ttlExpireTime")?;
        ensure!(
            text.len() == "2024-01-01T00:00:00Z".len() && text.ends_with('Z'),
            "ttlExpireTime is {text}"
        );
        let off = text.parse::<Timestamp>()?.duration_since(hour).abs();
        ensure!(
            off < SignedDuration::from_mins(10),
            "ttlExpireTime is {text}, {off:?} off"
        );
    }
    let silent =
        |item: Option<Item>| item.is_some_and(|i| !i.metadata.contains_key(TTL_EXPIRE_TIME));
    s.store.set(s.ttl_request("k", "-1")).await?;
    ensure!(silent(s.item("k").await?), "-1 left a ttlExpireTime");
    s.set("plain", "1").await?;
    ensure!(
        silent(s.item("plain").await?),
        "an item without time to live has a ttlExpireTime"
    );
    Ok(())
}

pub(super) async fn it_works_in_a_transaction(s: &Subject) -> Result<()> {
    s.store.set(s.ttl_request("freed", "2")).await?;
    let ops = vec![
        Operation::Set(s.ttl_request("k", "2")),
        Operation::Set(s.ttl_request("freed", "-1")),
        Operation::Set(s.set_request("plain", "1")),
    ];
    s.store.transact(ops, Metadata::new()).await?;
    ensure!(
        s.data("k").await? == "short",
        "the item is not there at once"
    );
    gone(s, "k").await?;
    stays(s, "freed").await?;
    stays(s, "plain").await
}

pub(super) async fn an_expired_item_can_be_written_first(s: &Subject) -> Result<()> {
    s.store.set(s.ttl_request("k", "1")).await?;
    gone(s, "k").await?;
    s.set_first("k", "new").await?;
    ensure!(s.data("k").await? == "new", "the new item is not there");

    let request = SetRequest {
        concurrency: Concurrency::FirstWrite,
        ..s.ttl_request("first", "1")
    };
    s.store.set(request.clone()).await?;
    ensure!(
        s.store.set(request.clone()).await.is_err(),
        "the item was overwritten before its time"
    );
    gone(s, "first").await?;
    s.store.set(request).await?;
    Ok(())
}

pub(super) async fn expired_keys_are_not_listed(s: &Subject) -> Result<()> {
    s.set("stays", "1").await?;
    s.store.set(s.ttl_request("goes", "1")).await?;
    let pattern = s.key("%");
    eventually(GONE, "the listing is without the expired key", async || {
        let request = KeysRequest {
            pattern: pattern.clone(),
            ..KeysRequest::default()
        };
        Ok(s.store.keys_like(request).await?.keys == [s.key("stays")])
    })
    .await
}
