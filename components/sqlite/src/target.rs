//! The connection string: which database, and how to open it.
//!
//! It is SQLite's own URI plus the parameters of upstream's driver, which begin
//! with an underscore: `_txlock` and `_pragma=name(value)`.

use component::{Error, Result};
use percent_encoding::percent_decode_str;

/// Pragmas a user may set; none of them can break the layout or the guarantees
/// other than durability on power loss, which is the user's choice.
const PRAGMAS: [&str; 16] = [
    "analysis_limit",
    "auto_vacuum",
    "automatic_index",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "fullfsync",
    "journal_size_limit",
    "mmap_size",
    "page_size",
    "secure_delete",
    "synchronous",
    "temp_store",
    "threads",
    "wal_autocheckpoint",
];

/// Pragmas the component sets itself, with the property that governs them.
const FORBIDDEN: [(&str, &str); 3] = [
    ("busy_timeout", "set metadata busyTimeout instead"),
    ("foreign_keys", "the component sets it"),
    ("journal_mode", "set metadata disableWAL instead"),
];

/// How a write transaction takes its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TxLock {
    Deferred,
    #[default]
    Immediate,
    Exclusive,
}

/// A parsed connection string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What SQLite opens.
    pub(crate) uri: String,
    /// The file's path or `:memory:`, for messages.
    pub(crate) path: String,
    pub(crate) memory: bool,
    pub(crate) read_only: bool,
    pub(crate) txlock: TxLock,
    pub(crate) pragmas: Vec<(String, String)>,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bare = text.strip_prefix("file:").unwrap_or(text);
        let bare = bare.split('#').next().unwrap_or_default();
        let (path, query) = bare.split_once('?').unwrap_or((bare, ""));
        let mut target = Self {
            uri: String::new(),
            path: decoded_path(path),
            memory: path.to_ascii_lowercase().starts_with(":memory:"),
            read_only: false,
            txlock: TxLock::default(),
            pragmas: Vec::new(),
        };
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(&raw.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned();
            match name {
                "_pragma" => target.pragmas.push(pragma(&value)?),
                "_txlock" => target.txlock = txlock(&value)?,
                // Of upstream's driver: how Go times and integers are converted.
                name if name.starts_with('_') => {}
                _ => {
                    target.memory |= name == "mode" && value == "memory";
                    target.read_only |=
                        (name == "mode" && value == "ro") || (name == "immutable" && value == "1");
                    kept.push(pair);
                }
            }
        }
        // A database in memory belongs to one component unless the user asks
        // for `cache=shared`; SQLite then shares it within the process.
        let path = if target.memory && path.is_empty() {
            ":memory:"
        } else {
            path
        };
        target.uri = format!("file:{path}");
        if !kept.is_empty() {
            target.uri = format!("{}?{}", target.uri, kept.join("&"));
        }
        Ok(target)
    }
}

fn decoded_path(path: &str) -> String {
    let path = path
        .strip_prefix("//localhost")
        .or_else(|| path.strip_prefix("//"))
        .unwrap_or(path);
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn txlock(value: &str) -> Result<TxLock> {
    match value.to_ascii_lowercase().as_str() {
        "deferred" => Ok(TxLock::Deferred),
        "immediate" => Ok(TxLock::Immediate),
        "exclusive" => Ok(TxLock::Exclusive),
        _ => Err(Error::config(format!(
            "invalid _txlock \"{value}\" in the connection string: use deferred, immediate or exclusive"
        ))),
    }
}

/// `name(value)` or `name=value`.
fn pragma(text: &str) -> Result<(String, String)> {
    let (name, value) = match text.split_once(['(', '=']) {
        Some((name, value)) => (name, value.trim().trim_end_matches(')')),
        None => (text, ""),
    };
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim().trim_matches(['\'', '"']).to_owned();
    if let Some((_, remedy)) = FORBIDDEN.iter().find(|(n, _)| *n == name) {
        return Err(Error::config(format!(
            "found forbidden option '_pragma={name}' in the connection string; {remedy}"
        )));
    }
    if !PRAGMAS.contains(&name.as_str()) {
        return Err(Error::config(format!(
            "option '_pragma={name}' in the connection string is not supported; remove it or use one of {}",
            PRAGMAS.join(", ")
        )));
    }
    let plain = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !plain {
        return Err(Error::config(format!(
            "option '_pragma={name}' in the connection string needs a word or a number: write _pragma={name}(value)"
        )));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Summarises what was parsed: `uri|path|flags|txlock|pragmas`.
    fn check(input: &str, expected: &str) {
        let summary = match Target::parse(input) {
            Ok(t) => {
                let flags = [(t.memory, "memory"), (t.read_only, "ro")];
                let flags: Vec<_> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
                let pragmas: Vec<_> = t.pragmas.iter().map(|(n, v)| format!("{n}={v}")).collect();
                format!(
                    "{}|{}|{}|{:?}|{}",
                    t.uri,
                    t.path,
                    flags.join(","),
                    t.txlock,
                    pragmas.join(",")
                )
            }
            Err(e) => e.message,
        };
        assert!(summary.starts_with(expected), "{input}: {summary}");
    }

    #[test]
    fn connection_strings() {
        check("data.db", "file:data.db|data.db||Immediate|");
        check("/tmp/a b.db", "file:/tmp/a b.db|/tmp/a b.db||Immediate|");
        check(
            "file:/tmp/a%20b.db",
            "file:/tmp/a%20b.db|/tmp/a b.db||Immediate|",
        );
        check(
            "file:///tmp/a.db?mode=rw",
            "file:///tmp/a.db?mode=rw|/tmp/a.db||Immediate|",
        );
        check(":memory:", "file::memory:|:memory:|memory|Immediate|");
        check(
            "file::memory:?cache=shared",
            "file::memory:?cache=shared|:memory:|memory|Immediate|",
        );
        check(
            "file:x?mode=memory&cache=shared",
            "file:x?mode=memory&cache=shared|x|memory|Immediate|",
        );
        check("a.db?mode=ro", "file:a.db?mode=ro|a.db|ro|Immediate|");
        check(
            "a.db?immutable=1&_txlock=DEFERRED",
            "file:a.db?immutable=1|a.db|ro|Deferred|",
        );
        check(
            "a.db?_txlock=exclusive&_time_format=sqlite",
            "file:a.db|a.db||Exclusive|",
        );
        check("a.db?_txlock=never", "invalid _txlock \"never\"");
    }

    #[test]
    fn pragmas() {
        check(
            "a.db?_pragma=synchronous(NORMAL)",
            "file:a.db|a.db||Immediate|synchronous=NORMAL",
        );
        check(
            "a.db?_pragma=cache_size(-2000)&_pragma=temp_store%3D2",
            "file:a.db|a.db||Immediate|cache_size=-2000,temp_store=2",
        );
        check(
            "a.db?_pragma=Busy_Timeout(1)",
            "found forbidden option '_pragma=busy_timeout'",
        );
        check(
            "a.db?_pragma=journal_mode(off)",
            "found forbidden option '_pragma=journal_mode'",
        );
        check(
            "a.db?_pragma=foreign_keys(1)",
            "found forbidden option '_pragma=foreign_keys'",
        );
        check(
            "a.db?_pragma=writable_schema(1)",
            "option '_pragma=writable_schema'",
        );
        check(
            "a.db?_pragma=mmap_size(1;drop table x)",
            "option '_pragma=mmap_size' in the connection string needs",
        );
        check(
            "a.db?_pragma=mmap_size",
            "option '_pragma=mmap_size' in the connection string needs",
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(target.uri.starts_with("file:"));
            }
        }
    }
}
