//! Series of several families that are recorded together, found in one look-up.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::family::with_key;

/// As many combinations are kept; what comes after is made anew each time, and
/// the families give it their shared series.
const MOST: usize = 10_000;

/// What was made for each combination of label values.
pub struct Memo<T>(RwLock<HashMap<Box<[u8]>, Arc<T>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memo").field(&self.0.read().len()).finish()
    }
}

impl<T> Memo<T> {
    /// What `make` gave for these values the first time.
    pub fn get(&self, values: &[&str], make: impl FnOnce() -> T) -> Arc<T> {
        let found = with_key(values, |key| self.0.read().get(key).cloned());
        found.unwrap_or_else(|| {
            let made = Arc::new(make());
            let mut all = self.0.write();
            if all.len() < MOST {
                with_key(values, |key| all.insert(key.into(), made.clone()));
            }
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_is_made_once_and_values_do_not_run_together() {
        let memo = Memo::default();
        for (values, made, expected) in [
            (&["a", "bc"][..], 1, 1),
            (&["ab", "c"], 2, 2),
            (&["a", "bc"], 3, 1),
        ] {
            assert_eq!(*memo.get(values, || made), expected, "{values:?}");
        }
    }
}
