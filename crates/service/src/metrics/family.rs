//! One metric name with all its series.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::registry::Shared;
use super::value::Kind;

/// The value of every label of the series that takes what the limit turns away.
const OVERFLOW: &str = "_overflow";
/// Separates label values in a key; it occurs in no UTF-8 text.
const SEPARATOR: u8 = 0xff;

/// All series of one metric; clones are the same family.
pub struct Family<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    shared: Arc<Shared>,
    name: String,
    help: String,
    labels: Vec<&'static str>,
    bounds: Arc<[f64]>,
    series: RwLock<HashMap<Box<[u8]>, Series<M>>>,
    /// What takes the rest, once there are as many series as there may be.
    overflow: OnceLock<Arc<M>>,
}

struct Series<M> {
    /// The labels as the exposition shows them, without braces.
    labels: String,
    metric: Arc<M>,
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<M> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("name", &self.inner.name)
            .field("labels", &self.inner.labels)
            .finish()
    }
}

#[allow(private_bounds)] // The three kinds are all there are.
impl<M: Kind> Family<M> {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: String,
        help: &str,
        labels: &[&'static str],
        bounds: &[f64],
    ) -> Self {
        let inner = Inner {
            shared,
            name,
            help: help.to_owned(),
            labels: labels.to_vec(),
            bounds: bounds.into(),
            series: RwLock::default(),
            overflow: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The series with these label values, in the order of the family's names.
    ///
    /// Keep the handle where the values are known beforehand. Beyond the
    /// registry's limit all new combinations share one series whose labels
    /// read `_overflow`.
    pub fn with(&self, values: &[&str]) -> Arc<M> {
        let inner = &*self.inner;
        debug_assert_eq!(
            values.len(),
            inner.labels.len(),
            "label values of {}",
            inner.name
        );
        with_key(values, |key| {
            if let Some(series) = inner.series.read().get(key) {
                return series.metric.clone();
            }
            if let Some(overflow) = inner.overflow.get() {
                return overflow.clone();
            }
            let mut all = inner.series.write();
            if let Some(series) = all.get(key) {
                return series.metric.clone();
            }
            if all.len() < inner.shared.limit {
                return inner.add(&mut all, key, values);
            }
            let overflow = inner.overflow.get_or_init(|| {
                let values = vec![OVERFLOW; inner.labels.len()];
                with_key(&values, |key| match all.get(key) {
                    Some(series) => series.metric.clone(),
                    None => inner.add(&mut all, key, &values),
                })
            });
            overflow.clone()
        })
    }
}

/// Hands the key of these values to `look`, without an allocation once the thread's
/// buffer has grown.
pub(super) fn with_key<R>(values: &[&str], look: impl FnOnce(&[u8]) -> R) -> R {
    thread_local! {
        static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut key = KEY.take();
    key.clear();
    for value in values {
        key.extend_from_slice(value.as_bytes());
        key.push(SEPARATOR);
    }
    let result = look(&key);
    KEY.set(key);
    result
}

impl<M: Kind> Inner<M> {
    fn add(&self, all: &mut HashMap<Box<[u8]>, Series<M>>, key: &[u8], values: &[&str]) -> Arc<M> {
        let labels = self.shared.labels(&self.name, &self.labels, values);
        // Rewriting rules can give several combinations the same labels; they
        // must then be one series.
        let twin = self
            .shared
            .rewrites()
            .then(|| all.values().find(|series| series.labels == labels))
            .flatten();
        let metric = twin.map_or_else(
            || Arc::new(M::create(&self.bounds)),
            |series| series.metric.clone(),
        );
        all.insert(
            key.into(),
            Series {
                labels,
                metric: metric.clone(),
            },
        );
        metric
    }
}

/// A family as the registry sees it.
pub(super) trait Render: Send + Sync {
    fn render(&self, out: &mut String);
    fn describe(&self) -> (&'static str, &[&'static str]);
    fn as_any(&self) -> &dyn std::any::Any;
}

impl<M: Kind> Render for Family<M> {
    /// A family without series is not shown at all.
    fn render(&self, out: &mut String) {
        let all = self.inner.series.read();
        let mut sorted: Vec<_> = all.values().collect();
        sorted.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        sorted.dedup_by(|a, b| a.labels == b.labels);
        if sorted.is_empty() {
            return;
        }
        super::registry::push_head(out, &self.inner.name, &self.inner.help, M::TYPE);
        for series in sorted {
            series.metric.render(out, &self.inner.name, &series.labels);
        }
    }

    fn describe(&self) -> (&'static str, &[&'static str]) {
        (M::TYPE, &self.inner.labels)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
