//! What several building blocks read from the metadata of a request.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration;
use crate::{Error, Result};

/// `ttl`, else `ttlInSeconds`, names in any case: a Go duration, or a positive
/// number of seconds. Negative durations are zero, very large values are capped.
pub fn ttl(metadata: &BTreeMap<String, String>) -> Result<Option<Duration>> {
    let find = |name: &str| {
        let found = metadata.iter().find(|(k, _)| k.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v).filter(|v| !v.is_empty())
    };
    let Some(text) = find("ttl").or_else(|| find("ttlInSeconds")) else {
        return Ok(None);
    };
    if let Some(nanos) = duration::parse(text) {
        return Ok(Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(0),
        )));
    }
    let seconds: i64 = text.parse().map_err(|_| {
        Error::invalid(format!(
            "ttl value must be a valid integer: actual is '{text}'"
        ))
    })?;
    let Some(seconds) = u64::try_from(seconds).ok().filter(|s| *s > 0) else {
        return Err(Error::invalid(format!(
            "ttl value must be higher than zero: actual is '{seconds}'"
        )));
    };
    let longest = Duration::from_nanos(i64::MAX as u64).as_secs();
    Ok(Some(Duration::from_secs(seconds.min(longest))))
}

/// `priority`, exact case, cut to 0..=255.
pub fn priority(metadata: &BTreeMap<String, String>) -> Result<Option<u8>> {
    let Some(text) = metadata.get("priority").filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let value: i64 = text.parse().map_err(|_| {
        Error::invalid(format!(
            "priority value must be a valid integer: actual is '{text}'"
        ))
    })?;
    Ok(Some(u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)))
}

/// `rawPayload`, exact case, with Go's boolean texts; absent is false.
pub fn raw_payload(metadata: &BTreeMap<String, String>) -> Result<bool> {
    match metadata.get("rawPayload").map(String::as_str) {
        None | Some("" | "0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
        Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
        Some(text) => Err(Error::invalid(format!(
            "rawPayload value must be a valid boolean: actual is '{text}'"
        ))),
    }
}
