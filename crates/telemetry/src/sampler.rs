//! Which traces are recorded.

use std::fmt;

use crate::TraceContext;

/// Follows the parent's decision; without a parent a share of the traces, by id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    rate: f64,
    /// Ids whose 63 lower bits are below it are recorded.
    bound: u64,
}

impl Sampler {
    /// Records this share of new traces, 0 to 1.
    pub fn new(rate: f64) -> Self {
        const ALL: u64 = 1 << 63;
        // The cast saturates, and makes 0 of what is no number.
        let bound = (rate * ALL as f64) as u64;
        Self {
            rate,
            bound: bound.min(ALL),
        }
    }

    /// Whether the trace is recorded.
    pub fn decide(self, parent: Option<&TraceContext>, trace_id: [u8; 16]) -> bool {
        match parent {
            Some(parent) => parent.is_sampled(),
            None => (u128::from_be_bytes(trace_id) as u64) >> 1 < self.bound,
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParentBased(TraceIDRatio({}))", self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn share(rate: f64) -> usize {
        let sampler = Sampler::new(rate);
        let ids = (0..10_000u128).map(|i| i << 64 | (i as u64 * (u64::MAX / 10_000)) as u128);
        ids.filter(|id| sampler.decide(None, id.to_be_bytes()))
            .count()
    }

    #[test]
    fn a_share_of_new_traces_is_recorded() {
        for (rate, low, high) in [
            (1.0, 10_000, 10_000),
            (7.0, 10_000, 10_000),
            (0.5, 4_990, 5_010),
            (0.01, 95, 105),
            (0.0001, 1, 2),
            (0.0, 0, 0),
            (-1.0, 0, 0),
            (f64::NAN, 0, 0),
            (f64::INFINITY, 10_000, 10_000),
        ] {
            let share = share(rate);
            assert!((low..=high).contains(&share), "{rate}: {share}");
        }
        assert!(Sampler::new(1.0).decide(None, [0xff; 16]));
    }

    #[test]
    fn a_parent_decides_for_its_trace() {
        for (flags, expected) in [("01", true), ("03", true), ("00", false), ("02", false)] {
            let parent = TraceContext::parse(&format!("00-{TRACE}-b7ad6b7169203331-{flags}"));
            for rate in [0.0, 0.5, 1.0] {
                let decided = Sampler::new(rate).decide(parent.as_ref(), [0xff; 16]);
                assert_eq!(decided, expected, "{flags} {rate}");
            }
        }
    }
}
