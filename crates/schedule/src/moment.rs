//! Points in time: due times and lifetimes.

use jiff::Timestamp;

use crate::{MAX_LENGTH, Period, rfc3339};

/// Why a text is not a point in time, worded as upstream words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is neither a moment nor a duration.
    #[error("unsupported time/duration format: {0}")]
    Format(String),
    /// It is longer than [`MAX_LENGTH`] bytes.
    #[error("time or duration is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// It is a duration with repetitions.
    #[error("repetitions are not allowed")]
    Repetitions,
}

/// Reads an RFC 3339 moment, or a Go or ISO 8601 duration counted from `from`.
///
/// Upstream tries the forms in one order for jobs and in another for timers. No
/// text is of two forms, so that the order makes no difference.
pub fn moment(text: &str, from: Timestamp) -> Result<Timestamp, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::TooLong);
    }
    if let Some(moment) = rfc3339::parse(text) {
        return Ok(moment);
    }
    let period = Period::parse(text).map_err(|_| Error::Format(text.to_owned()))?;
    if period.repeats.is_some() {
        return Err(Error::Repetitions);
    }
    Ok(period.after(from))
}
