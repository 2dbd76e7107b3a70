//! The registry: every family of a process, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::family::{Family, Render};
use super::value::{Counter, Gauge, Histogram, Kind};

const PREFIX: &str = "dapr_";

/// Changes a label's value before it is recorded: metric name, label, value.
type Rewrite = Box<dyn Fn(&str, &str, &str) -> Option<String> + Send + Sync>;

/// What holds for every family of a registry.
pub struct Options {
    limit: usize,
    constant: Vec<(String, String)>,
    rewrite: Option<Rewrite>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: 10_000,
            constant: Vec::new(),
            rewrite: None,
        }
    }
}

impl Options {
    /// Adds a label that every series has.
    pub fn constant(mut self, name: &str, value: &str) -> Self {
        self.constant.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How many series a family may have before new ones share one; 10,000
    /// unless set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// A function of metric name (with prefix), label and value that may
    /// answer another value; it runs once per new series.
    pub fn rewrite(
        mut self,
        rewrite: impl Fn(&str, &str, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.rewrite = Some(Box::new(rewrite));
        self
    }
}

/// The part of a registry that its families use.
pub(super) struct Shared {
    pub(super) limit: usize,
    constant: Vec<(String, String)>,
    rewrite: Option<Rewrite>,
}

impl Shared {
    pub(super) fn rewrites(&self) -> bool {
        self.rewrite.is_some()
    }

    /// The labels of a series sorted by name, escaped, without braces.
    pub(super) fn labels(&self, metric: &str, names: &[&str], values: &[&str]) -> String {
        let rewritten = |name: &str, value: &str| {
            let rewrite = self.rewrite.as_ref()?;
            rewrite(metric, name, value)
        };
        let values = values.iter().copied().chain(std::iter::repeat(""));
        let mut pairs: Vec<_> = names
            .iter()
            .zip(values)
            .map(|(name, value)| {
                (
                    *name,
                    rewritten(name, value).unwrap_or_else(|| value.to_owned()),
                )
            })
            .chain(
                self.constant
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone())),
            )
            .collect();
        pairs.sort();
        pairs.dedup_by(|a, b| a.0 == b.0);
        let mut out = String::new();
        for (at, (name, value)) in pairs.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(name);
            out.push_str("=\"");
            push_escaped(&mut out, value, true);
            out.push('"');
        }
        out
    }
}

/// The families of a process; clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    families: Arc<Mutex<BTreeMap<String, Arc<dyn Render>>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("families", &self.families.lock().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty registry whose series all have these labels.
    pub fn new(constant: &[(&str, &str)]) -> Self {
        let options = Options::default();
        Self::with(constant.iter().fold(options, |options, (name, value)| {
            options.constant(name, value)
        }))
    }

    /// An empty registry with these options.
    pub fn with(options: Options) -> Self {
        let Options {
            limit,
            constant,
            rewrite,
        } = options;
        let shared = Shared {
            limit,
            constant,
            rewrite,
        };
        Self {
            shared: Arc::new(shared),
            families: Arc::default(),
        }
    }

    /// A family of counters; see [`Registry::histogram`] for the name.
    pub fn counter(&self, name: &str, help: &str, labels: &[&'static str]) -> Family<Counter> {
        self.family(name, help, labels, &[])
    }

    /// A family of gauges; see [`Registry::histogram`] for the name.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&'static str]) -> Family<Gauge> {
        self.family(name, help, labels, &[])
    }

    /// A family of histograms over the given upper bounds, in rising order.
    ///
    /// The name gets the prefix `dapr_`, and characters that a name cannot
    /// have become `_`. Asking again for a name answers the family that is
    /// there; another kind or other labels under the same name panic, as two
    /// parts of the program then contradict each other. A first bound of 0 is
    /// dropped, as upstream drops it.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&'static str],
        bounds: &[f64],
    ) -> Family<Histogram> {
        let bounds = if bounds.first() == Some(&0.0) {
            &bounds[1..]
        } else {
            bounds
        };
        self.family(name, help, labels, bounds)
    }

    fn family<M: Kind>(
        &self,
        name: &str,
        help: &str,
        labels: &[&'static str],
        bounds: &[f64],
    ) -> Family<M> {
        let name = full_name(name);
        let mut families = self.families.lock();
        if let Some(present) = families.get(&name) {
            let same = present.describe() == (M::TYPE, labels);
            return match present.as_any().downcast_ref::<Family<M>>() {
                Some(family) if same => family.clone(),
                _ => panic!("metric {name} is registered twice with different kinds or labels"),
            };
        }
        let family = Family::new(self.shared.clone(), name.clone(), help, labels, bounds);
        families.insert(name, Arc::new(family.clone()));
        family
    }

    /// All families that have series, in the text exposition format.
    pub fn render(&self) -> String {
        let families: Vec<_> = self.families.lock().values().cloned().collect();
        let mut out = String::with_capacity(16 * 1024);
        for family in families {
            family.render(&mut out);
        }
        out
    }
}

fn full_name(name: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    PREFIX.chars().chain(name.chars().map(valid)).collect()
}

/// The two comment lines above a family's series.
pub(super) fn push_head(out: &mut String, name: &str, help: &str, kind: &str) {
    out.push_str("# HELP ");
    out.push_str(name);
    out.push(' ');
    push_escaped(out, help, false);
    out.push_str("\n# TYPE ");
    out.push_str(name);
    out.push(' ');
    out.push_str(kind);
    out.push('\n');
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}
