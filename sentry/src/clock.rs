//! What time it is.

use jiff::Timestamp;

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}
