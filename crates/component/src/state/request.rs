//! What stores read from requests in the same way.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Request metadata that sets when a value expires.
pub const TTL_IN_SECONDS: &str = "ttlInSeconds";
/// Item metadata that tells when a value expires.
pub const TTL_EXPIRE_TIME: &str = "ttlExpireTime";

/// The common parser of `ttlInSeconds`: -1 or more, `None` when absent or empty.
/// What 0 and -1 mean is the store's business; in SQL stores they clear the expiry.
pub fn ttl_in_seconds(metadata: &BTreeMap<String, String>) -> Result<Option<i32>> {
    let Some(text) = metadata.get(TTL_IN_SECONDS).filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    match text.parse::<i32>() {
        Ok(seconds) if seconds >= -1 => Ok(Some(seconds)),
        _ => Err(Error::invalid(
            "incorrect value for metadata 'ttlInSeconds': must be -1 or greater",
        )),
    }
}

/// The prefix of `delete_with_prefix`, with the `||` that ends it.
pub fn prefix(text: &str) -> Result<String> {
    match text {
        "" | "||" => Err(Error::invalid(
            "a prefix is required for deleteWithPrefix request",
        )),
        _ if text.ends_with("||") => Ok(text.into()),
        _ => Ok(format!("{text}||")),
    }
}

/// An SQL LIKE pattern: `%` any run, `_` one character, backslash escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Like(Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Run,
    One,
    Char(char),
}

impl Like {
    /// An empty pattern is refused, a backslash at the end means itself.
    pub fn new(pattern: &str) -> Result<Self> {
        if pattern.is_empty() {
            return Err(Error::invalid("keys like pattern cannot be empty"));
        }
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '%' => Part::Run,
                '_' => Part::One,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                c => Part::Char(c),
            });
        }
        Ok(Self(parts))
    }

    /// The text that every matching key starts with.
    pub fn prefix(&self) -> String {
        let literal = |part: &Part| match part {
            Part::Char(c) => Some(*c),
            _ => None,
        };
        self.0.iter().map_while(literal).collect()
    }

    /// Goes back to the last `%` only, so its time is the product of both lengths at most.
    pub fn matches(&self, key: &str) -> bool {
        let parts = &self.0;
        let (mut at, mut rest) = (0, key);
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let mut chars = rest.chars();
            let next = chars.next();
            match (parts.get(at), next) {
                (Some(Part::Run), _) => {
                    at += 1;
                    retry = Some((at, rest));
                }
                (Some(Part::One), Some(_)) => (at, rest) = (at + 1, chars.as_str()),
                (Some(Part::Char(c)), Some(k)) if *c == k => (at, rest) = (at + 1, chars.as_str()),
                (None, None) => return true,
                _ => {
                    let Some((after, from)) = retry else {
                        return false;
                    };
                    let mut chars = from.chars();
                    if chars.next().is_none() {
                        return false;
                    }
                    (at, rest) = (after, chars.as_str());
                    retry = Some((after, rest));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let like = Like::new(pattern).unwrap();
            for key in yes {
                assert!(like.matches(key), "{pattern} ~ {key}");
            }
            for key in no {
                assert!(!like.matches(key), "{pattern} !~ {key}");
            }
        };
        check("%", &["", "a", "a||b"], &[]);
        check("abc_", &["abcd", "abcü"], &["abc", "abcde", "Abcd"]);
        check("%key1", &["key1", "my||key1", "key1key1"], &["key10"]);
        check("%||%||%", &["a||b||c", "||||"], &["a||b", "a||"]);
        check("a%b%c", &["abc", "aXbbXc", "abcbc"], &["acb", "ab"]);
        check(r"100\%\_\\", &[r"100%_\"], &[r"100a_\", "100%"]);
        check(r"a\", &[r"a\"], &["a"]);
        assert_eq!(Like::new(r"a\%b%c").unwrap().prefix(), "a%b");
        assert_eq!(
            Like::new("").unwrap_err().to_string(),
            "keys like pattern cannot be empty"
        );
    }

    #[test]
    fn the_common_ttl_parser() {
        let parse = |text: &str| {
            ttl_in_seconds(&BTreeMap::from([("ttlInSeconds".into(), text.into())])).ok()
        };
        for (text, expected) in [
            ("", Some(None)),
            ("-1", Some(Some(-1))),
            ("0", Some(Some(0))),
            ("2147483647", Some(Some(i32::MAX))),
            ("2147483648", None),
            ("-2", None),
            ("5s", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn prefixes_end_with_the_separator() {
        assert_eq!(prefix("a||b").unwrap(), "a||b||");
        assert_eq!(prefix("a||").unwrap(), "a||");
        assert!(prefix("").is_err() && prefix("||").is_err());
    }
}
