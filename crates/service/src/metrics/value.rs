//! The three kinds of series, recorded without locks.

use std::sync::atomic::{AtomicU64, Ordering};

use super::number;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The present count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicF64);

impl Gauge {
    /// Replaces the number.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `value`, which may be below zero.
    pub fn add(&self, value: f64) {
        self.0.add(value);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// The present number.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A distribution over fixed bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: std::sync::Arc<[f64]>,
    /// One count per bound and one for all above.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

impl Histogram {
    fn new(bounds: &std::sync::Arc<[f64]>) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self {
            bounds: bounds.clone(),
            counts,
            sum: AtomicF64::default(),
        }
    }

    /// Records one value.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.add(value);
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// A float in an atomic's bits.
#[derive(Debug, Default)]
struct AtomicF64(AtomicU64);

impl AtomicF64 {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn add(&self, value: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never declines.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }
}

/// What the exposition needs of a kind of series.
pub(super) trait Kind: Send + Sync + Sized + 'static {
    const TYPE: &'static str;

    fn create(bounds: &std::sync::Arc<[f64]>) -> Self;

    /// Appends the series' lines; `labels` come without braces.
    fn render(&self, out: &mut String, name: &str, labels: &str);
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    if !labels.is_empty() {
        out.push('{');
        out.push_str(labels);
        out.push('}');
    }
    out.push(' ');
    number::push(out, value);
    out.push('\n');
}

impl Kind for Counter {
    const TYPE: &'static str = "counter";

    fn create(_: &std::sync::Arc<[f64]>) -> Self {
        Self::default()
    }

    fn render(&self, out: &mut String, name: &str, labels: &str) {
        line(out, name, "", labels, self.get() as f64);
    }
}

impl Kind for Gauge {
    const TYPE: &'static str = "gauge";

    fn create(_: &std::sync::Arc<[f64]>) -> Self {
        Self::default()
    }

    fn render(&self, out: &mut String, name: &str, labels: &str) {
        line(out, name, "", labels, self.get());
    }
}

impl Kind for Histogram {
    const TYPE: &'static str = "histogram";

    fn create(bounds: &std::sync::Arc<[f64]>) -> Self {
        Self::new(bounds)
    }

    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let mut total = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            let mut labels = format!("{labels}{comma}le=\"");
            number::push(&mut labels, bound);
            labels.push('"');
            line(out, name, "_bucket", &labels, total as f64);
        }
        line(out, name, "_sum", labels, self.sum.get());
        line(out, name, "_count", labels, total as f64);
    }
}
