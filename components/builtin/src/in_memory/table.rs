//! The rows and their three orders. Takes the time, does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use component::state::{Concurrency, Item, KeysPage, Like, Metadata, TTL_EXPIRE_TIME};
use component::{Error, Result};
use jiff::Timestamp;
use uuid::Uuid;

/// An expired row counts as absent at once, although it is removed only by the
/// next sweep.
#[derive(Default)]
pub(super) struct Table {
    rows: BTreeMap<Arc<str>, Row>,
    /// Keys by the index of their last write, which is the order of listings.
    order: BTreeMap<u64, Arc<str>>,
    expiring: BTreeSet<(Timestamp, Arc<str>)>,
    next: u64,
}

struct Row {
    data: Bytes,
    etag: Uuid,
    index: u64,
    expires: Option<Timestamp>,
}

impl Row {
    fn live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|at| at > now)
    }
}

impl Table {
    fn live(&self, key: &str, now: Timestamp) -> Option<&Row> {
        self.rows.get(key).filter(|row| row.live(now))
    }

    pub(super) fn item(&self, key: &str, now: Timestamp) -> Option<Item> {
        let row = self.live(key, now)?;
        let mut metadata = Metadata::new();
        if let Some(at) = row.expires {
            metadata.insert(
                TTL_EXPIRE_TIME.into(),
                at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            );
        }
        Some(Item {
            data: row.data.clone(),
            etag: Some(row.etag.to_string()),
            metadata,
            content_type: None,
        })
    }

    /// Whether a write with this ETag may happen.
    pub(super) fn check(
        &self,
        key: &str,
        etag: Option<&str>,
        concurrency: Concurrency,
        now: Timestamp,
    ) -> Result<()> {
        let row = self.live(key, now);
        let Some(expected) = etag else {
            if concurrency == Concurrency::FirstWrite && row.is_some() {
                return Err(Error::etag_mismatch(
                    "item already exists and no etag was passed",
                ));
            }
            return Ok(());
        };
        let Some(row) = row else {
            return Err(Error::etag_mismatch(format_args!(
                "state not exist or expired for key={key}"
            )));
        };
        let current = row.etag.to_string();
        if current != expected {
            let cause = format_args!(
                "state etag not match for key={key}: current={current}, expect={expected}"
            );
            return Err(Error::etag_mismatch(cause));
        }
        Ok(())
    }

    pub(super) fn put(&mut self, key: Arc<str>, data: Bytes, expires: Option<Timestamp>) {
        self.remove(&key);
        let index = self.next;
        self.next += 1;
        self.order.insert(index, Arc::clone(&key));
        if let Some(at) = expires {
            self.expiring.insert((at, Arc::clone(&key)));
        }
        self.rows.insert(
            key,
            Row {
                data,
                etag: Uuid::new_v4(),
                index,
                expires,
            },
        );
    }

    pub(super) fn remove(&mut self, key: &str) {
        let Some((key, row)) = self.rows.remove_entry(key) else {
            return;
        };
        self.order.remove(&row.index);
        if let Some(at) = row.expires {
            self.expiring.remove(&(at, key));
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.expiring.first() {
            if *at > now {
                return;
            }
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    /// Removes the direct children of a prefix that ends with `||`.
    pub(super) fn delete_children(&mut self, prefix: &str, now: Timestamp) -> u64 {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let below = self
            .rows
            .range::<str, _>(from)
            .take_while(|(key, _)| key.starts_with(prefix));
        let children =
            below.filter(|(key, row)| !key[prefix.len()..].contains("||") && row.live(now));
        let children: Vec<Arc<str>> = children.map(|(key, _)| Arc::clone(key)).collect();
        for key in &children {
            self.remove(key);
        }
        children.len() as u64
    }

    /// One page of matching keys, from the given index. The token is the index of
    /// the first key of the next page.
    pub(super) fn keys(&self, like: &Like, from: u64, page_size: u32, now: Timestamp) -> KeysPage {
        let limit = if page_size == 0 {
            usize::MAX
        } else {
            page_size as usize
        };
        let live = self
            .order
            .range(from..)
            .filter(|(_, key)| self.live(key, now).is_some());
        let mut found = live.filter(|(_, key)| like.matches(key));
        let keys = found
            .by_ref()
            .take(limit)
            .map(|(_, key)| key.as_ref().to_owned())
            .collect();
        KeysPage {
            keys,
            token: found.next().map(|(index, _)| index.to_string()),
        }
    }
}
