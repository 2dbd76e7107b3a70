//! The suite for state stores.

mod absent;
mod basic;
mod bulk;
mod etag;
mod keys;
mod query;
mod race;
mod transaction;
mod ttl;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use component::state::{
    Concurrency, DeleteRequest, Features, GetRequest, Item, Metadata, SetRequest, StateStore, Value,
};
use component::{Error, ErrorKind};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::{Outcome, Report};

/// No case may hang.
const CASE_LIMIT: Duration = Duration::from_secs(120);

/// What the store promises beyond its features. The default is everything.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Shown in the table.
    pub name: &'static str,
    /// An ETag of the right form that no item has.
    pub bad_etag: &'static str,
    /// A refused operation undoes the whole transaction.
    pub atomic_transactions: bool,
    /// One transaction may touch a key more than once, in order.
    pub repeated_keys: bool,
    /// A first-write without ETag that comes too late is an ETag mismatch. Else
    /// it fails with an error of any kind.
    pub first_write_mismatch: bool,
    /// Writing with an ETag needs an item; else a missing one is created.
    pub etag_needs_item: bool,
    /// Items tell when they expire.
    pub ttl_expire_time: bool,
    /// A write without a time to live clears the one before.
    pub ttl_cleared_by_write: bool,
    /// `keys_like` tells upper from lower case.
    pub case_sensitive_keys: bool,
    /// Keys that must work.
    pub odd_keys: &'static [&'static str],
    /// Bytes of a value that must fit.
    pub large_value: usize,
    /// Request metadata of queries, such as the name of an index over
    /// [`QUERY_FIELDS`].
    pub query_metadata: &'static [(&'static str, &'static str)],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "state store",
            bad_etag: "bad-etag",
            atomic_transactions: true,
            repeated_keys: true,
            first_write_mismatch: true,
            etag_needs_item: true,
            ttl_expire_time: true,
            ttl_cleared_by_write: true,
            case_sensitive_keys: true,
            odd_keys: ODD_KEYS,
            large_value: 1 << 20,
            query_metadata: &[],
        }
    }
}

/// The paths that queries of the suite use: `run`, `title` and `author.name` are
/// texts, `copies` is a number.
pub const QUERY_FIELDS: &[&str] = &["run", "title", "author.name", "copies"];

const ODD_KEYS: &[&str] = &[
    "with blank",
    "grüße-日本-🦀",
    "slash/and\\back",
    "quote'\"`",
    "per%cent_under",
    "a||b||c||d",
    "*?[x]{y}^$",
    "tab\tand\nnewline",
    "trailing ",
    "-- ; DROP",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
];

/// Runs the suite, prints its table, and panics when a case failed.
pub async fn check(store: Arc<dyn StateStore>, options: Options) {
    run(store, options).await.finish();
}

/// Runs the suite.
pub async fn run(store: Arc<dyn StateStore>, options: Options) -> Report {
    let features = store.features();
    let cases = join_all(CASES.iter().map(|case| case.run(&store, options))).await;
    Report {
        component: options.name.into(),
        features: features.names().collect(),
        cases,
    }
}

type Running = Pin<Box<dyn Future<Output = Result<()>>>>;

struct Case {
    name: &'static str,
    when: When,
    body: fn(Subject) -> Running,
}

/// Which stores a case is for.
enum When {
    Always,
    Has(Features),
    HasAll(&'static [Features]),
    Lacks(Features),
    Promised(Features, fn(&Options) -> bool),
}

impl When {
    fn applies(&self, features: Features, options: &Options) -> Result<(), &'static str> {
        let (applies, why) = match self {
            Self::Always => (true, ""),
            Self::Has(feature) => (features.has(*feature), "not declared"),
            Self::HasAll(wanted) => (wanted.iter().all(|f| features.has(*f)), "not declared"),
            Self::Lacks(feature) => (!features.has(*feature), "declared"),
            Self::Promised(feature, _) if !features.has(*feature) => (false, "not declared"),
            Self::Promised(_, promised) => (promised(options), "not promised"),
        };
        if applies { Ok(()) } else { Err(why) }
    }
}

impl Case {
    async fn run(&self, store: &Arc<dyn StateStore>, options: Options) -> (&'static str, Outcome) {
        if let Err(why) = self.when.applies(store.features(), &options) {
            return (self.name, Outcome::Skipped(why));
        }
        let subject = Subject {
            store: Arc::clone(store),
            options,
            run: Uuid::new_v4().simple().to_string(),
        };
        let limited = tokio::time::timeout(CASE_LIMIT, (self.body)(subject));
        let result = limited
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("still running after {CASE_LIMIT:?}")));
        (
            self.name,
            result.map_or_else(Outcome::Failed, |()| Outcome::Passed),
        )
    }
}

macro_rules! cases {
    ($($when:expr => $($module:ident :: $case:ident),+;)+) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            when: $when,
            body: |subject| Box::pin(async move { $module::$case(&subject).await }),
        }),+),+]
    };
}

const CASES: &[Case] = {
    use When::{Always, Has, HasAll, Lacks, Promised};
    cases! {
        Always => basic::a_ping_answers_or_is_unsupported, basic::values_come_back_as_they_went_in,
            basic::a_missing_key_is_none, basic::a_write_replaces, basic::odd_keys_work,
            basic::large_values_fit, basic::a_key_is_needed;
        Always => bulk::gets_answer_every_key, bulk::sets_and_deletes_write_every_key;
        Has(Features::ETAG) => etag::each_write_makes_a_new_one, etag::a_wrong_one_changes_nothing,
            etag::the_right_one_writes_and_deletes, etag::bulk_errors_name_the_key,
            etag::first_write_comes_first, etag::first_write_with_an_etag;
        Promised(Features::ETAG, |o| o.etag_needs_item) => etag::a_missing_item_has_none;
        Has(Features::ETAG) => race::one_writer_wins, race::one_first_write_wins, race::no_increment_is_lost;
        Lacks(Features::ETAG) => absent::etags;
        Has(Features::TRANSACTIONAL) => transaction::nothing_to_do, transaction::sets_and_deletes,
            transaction::values_come_back_as_they_went_in, transaction::missing_keys_can_be_deleted,
            race::transactions_are_not_mixed;
        Promised(Features::TRANSACTIONAL, |o| o.repeated_keys) => transaction::operations_keep_their_order;
        Promised(Features::TRANSACTIONAL, |o| o.atomic_transactions) => transaction::all_or_nothing;
        Lacks(Features::TRANSACTIONAL) => absent::transactions;
        Has(Features::TTL) => ttl::a_bad_one_is_refused, ttl::an_item_expires, ttl::minus_one_clears_it;
        Promised(Features::TTL, |o| o.ttl_cleared_by_write) => ttl::a_write_without_clears_it;
        Promised(Features::TTL, |o| o.ttl_expire_time) => ttl::items_tell_when_they_expire;
        HasAll(&[Features::TTL, Features::TRANSACTIONAL]) => ttl::it_works_in_a_transaction;
        HasAll(&[Features::TTL, Features::ETAG]) => ttl::an_expired_item_can_be_written_first;
        HasAll(&[Features::TTL, Features::KEYS_LIKE]) => ttl::expired_keys_are_not_listed;
        Lacks(Features::TTL) => absent::ttl;
        Has(Features::KEYS_LIKE) => keys::patterns_match, keys::wildcards_can_be_escaped,
            keys::pages_give_every_key_once, keys::a_deletion_between_pages_does_no_harm,
            keys::an_empty_pattern_is_refused;
        Lacks(Features::KEYS_LIKE) => absent::keys_like;
        Has(Features::DELETE_WITH_PREFIX) => keys::a_prefix_deletes_its_direct_children,
            keys::a_prefix_is_needed;
        Lacks(Features::DELETE_WITH_PREFIX) => absent::delete_with_prefix;
        Has(Features::QUERY_API) => query::filters_find_what_they_say, query::sorted_pages_give_every_item_once,
            query::bad_queries_are_refused;
        Lacks(Features::QUERY_API) => absent::queries;
    }
};

/// The store under test, with keys of one case.
#[derive(Clone)]
struct Subject {
    store: Arc<dyn StateStore>,
    options: Options,
    run: String,
}

impl Subject {
    fn key(&self, name: &str) -> String {
        format!("{}||{name}", self.run)
    }

    fn get_request(&self, name: &str) -> GetRequest {
        GetRequest {
            key: self.key(name),
            ..GetRequest::default()
        }
    }

    async fn item(&self, name: &str) -> Result<Option<Item>, Error> {
        self.store.get(self.get_request(name)).await
    }

    /// The item's data, which must be there.
    async fn data(&self, name: &str) -> Result<Bytes> {
        let item = self.item(name).await?;
        Ok(item.with_context(|| format!("{name:?} is missing"))?.data)
    }

    async fn absent(&self, name: &str) -> Result<bool> {
        Ok(self.item(name).await?.is_none())
    }

    async fn etag(&self, name: &str) -> Result<String> {
        let item = self
            .item(name)
            .await?
            .with_context(|| format!("{name:?} is missing"))?;
        let etag = item.etag.filter(|etag| !etag.is_empty());
        etag.with_context(|| format!("{name:?} has no etag"))
    }

    fn set_request(&self, name: &str, value: impl Into<Bytes>) -> SetRequest {
        SetRequest::new(self.key(name), Value::Bytes(value.into()))
    }

    async fn set(&self, name: &str, value: impl Into<Bytes>) -> Result<(), Error> {
        self.store.set(self.set_request(name, value)).await
    }

    async fn set_etag(&self, name: &str, value: &'static str, etag: &str) -> Result<(), Error> {
        let req = self.set_request(name, value);
        self.store
            .set(SetRequest {
                etag: Some(etag.into()),
                ..req
            })
            .await
    }

    async fn set_first(&self, name: &str, value: &'static str) -> Result<(), Error> {
        let req = self.set_request(name, value);
        self.store
            .set(SetRequest {
                concurrency: Concurrency::FirstWrite,
                ..req
            })
            .await
    }

    fn ttl_request(&self, name: &str, seconds: &str) -> SetRequest {
        let metadata = Metadata::from([("ttlInSeconds".into(), seconds.into())]);
        SetRequest {
            metadata,
            ..self.set_request(name, "short")
        }
    }

    fn delete_request(&self, name: &str, etag: Option<&str>) -> DeleteRequest {
        DeleteRequest {
            key: self.key(name),
            etag: etag.map(Into::into),
            ..DeleteRequest::default()
        }
    }

    async fn delete(&self, name: &str, etag: Option<&str>) -> Result<(), Error> {
        self.store.delete(self.delete_request(name, etag)).await
    }

    /// Data by name; missing items are left out.
    async fn bulk(&self, names: &[&str], parallelism: usize) -> Result<BTreeMap<String, Item>> {
        let reqs = names.iter().map(|name| self.get_request(name)).collect();
        let answers = self.store.bulk_get(reqs, parallelism).await?;
        ensure!(
            answers.len() == names.len(),
            "{} answers to {} requests",
            answers.len(),
            names.len()
        );
        let mut found = BTreeMap::new();
        for answer in answers {
            let name = answer
                .key
                .strip_prefix(&format!("{}||", self.run))
                .context("the answer has another key")?;
            if let Some(item) = answer.result? {
                found.insert(name.to_owned(), item);
            }
        }
        Ok(found)
    }
}

/// The call must fail with this kind.
#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: ErrorKind) -> Result<()> {
    match result {
        Ok(_) => anyhow::bail!("succeeded, where {kind:?} is due"),
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => anyhow::bail!("{:?}, where {kind:?} is due: {error}", error.kind),
    }
}
