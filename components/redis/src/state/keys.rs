//! Listing keys by an SQL LIKE pattern: a scan of the whole database, sorted, in pages.

use component::Result;
use component::state::{KeysPage, KeysRequest, Like};
use redis::{RedisError, RedisResult, Value};

use super::RedisState;
use crate::client::{Node, Repeat, explain};

/// Keys that one step of a scan looks at.
const STEP: u32 = 1000;

impl RedisState {
    pub(super) async fn list(&self, req: &KeysRequest) -> Result<KeysPage> {
        let like = Like::new(&req.pattern)?;
        let glob = glob(&req.pattern);
        let found = self
            .scan_all(&glob)
            .await
            .map_err(|error| explain("failed to list keys: ", self.client.address(), error))?;
        // The glob finds too much, and a scan may show a key twice.
        let mut keys: Vec<_> = found
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok())
            .filter(|key| like.matches(key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(page(keys, req))
    }

    async fn scan_all(&self, glob: &str) -> RedisResult<Vec<Vec<u8>>> {
        if !self.client.is_cluster() {
            return self.scan(glob, None).await;
        }
        let mut keys = Vec::new();
        for node in self.client.nodes().await? {
            keys.append(&mut self.scan(glob, Some(&node)).await?);
        }
        Ok(keys)
    }

    async fn scan(&self, glob: &str, node: Option<&Node>) -> RedisResult<Vec<Vec<u8>>> {
        let (mut keys, mut cursor) = (Vec::new(), Vec::from(b"0"));
        loop {
            let mut command = redis::cmd("SCAN");
            command
                .arg(&cursor)
                .arg("MATCH")
                .arg(glob)
                .arg("COUNT")
                .arg(STEP);
            let answer = match node {
                Some(node) => self.client.call_node(node, command).await?,
                None => self.client.call(command, Repeat::Safe).await?,
            };
            let mut step;
            (cursor, step) = parse(answer)?;
            keys.append(&mut step);
            if cursor == b"0" {
                return Ok(keys);
            }
        }
    }
}

fn parse(answer: Value) -> RedisResult<(Vec<u8>, Vec<Vec<u8>>)> {
    redis::from_redis_value(answer).map_err(RedisError::from)
}

/// The token is the offset of the next page; anything else starts at the first.
fn page(mut keys: Vec<String>, req: &KeysRequest) -> KeysPage {
    let start = req
        .token
        .as_deref()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    let start = keys.len().min(start);
    let size = match req.page_size {
        0 => keys.len(),
        n => usize::try_from(n).unwrap_or(usize::MAX),
    };
    let end = keys.len().min(start.saturating_add(size));
    let token = (end < keys.len()).then(|| end.to_string());
    keys.truncate(end);
    keys.drain(..start);
    KeysPage { keys, token }
}

/// A glob that matches at least what the LIKE pattern does. `_` becomes `*`, because the
/// server's `?` is one byte and not one character.
fn glob(like: &str) -> String {
    let mut glob = String::with_capacity(like.len());
    let mut chars = like.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            // Several stars in a row cost the server time and match nothing more.
            '%' | '_' if glob.ends_with('*') && !glob.ends_with("\\*") => continue,
            '%' | '_' => {
                glob.push('*');
                continue;
            }
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        };
        if matches!(literal, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            glob.push('\\');
        }
        glob.push(literal);
    }
    glob
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        let check = |like: &str, expected: &str| assert_eq!(glob(like), expected, "{like}");
        check("%", "*");
        check("abc_", "abc*");
        check("a%_%b", "a*b");
        check("app||%||%", "app||*||*");
        check(r"100\%\_", "100%_");
        check("a*b?[c]", r"a\*b\?\[c\]");
        check("*%", r"\**");
        check(r"a\\b\", r"a\\b\\");
    }

    #[test]
    fn pages() {
        let all = || ["a", "b", "c"].map(String::from).to_vec();
        let check = |page_size, token: Option<&str>, keys: &[&str], next: Option<&str>| {
            let req = KeysRequest {
                page_size,
                token: token.map(Into::into),
                ..KeysRequest::default()
            };
            let expected = KeysPage {
                keys: keys.iter().map(|k| (*k).to_owned()).collect(),
                token: next.map(Into::into),
            };
            assert_eq!(page(all(), &req), expected, "{page_size} {token:?}");
        };
        check(0, None, &["a", "b", "c"], None);
        check(2, None, &["a", "b"], Some("2"));
        check(2, Some("2"), &["c"], None);
        check(3, None, &["a", "b", "c"], None);
        check(1, Some("nonsense"), &["a"], Some("1"));
        check(1, Some("-1"), &["a"], Some("1"));
        check(1, Some("99"), &[], None);
        check(u32::MAX, Some("1"), &["b", "c"], None);
    }

    /// The server's rules for the part of its globs that is used here.
    fn glob_matches(glob: &[u8], key: &[u8]) -> bool {
        match glob {
            [] => key.is_empty(),
            [b'*', rest @ ..] => (0..=key.len()).any(|n| glob_matches(rest, &key[n..])),
            [b'\\', c, rest @ ..] | [c, rest @ ..] => {
                key.first() == Some(c) && glob_matches(rest, &key[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn the_glob_finds_every_key_that_the_pattern_matches(
            like in r"[%_ab*?\[\]\\ü]{1,6}",
            key in r"[%_ab*?\[\]\\ü]{0,6}",
        ) {
            if Like::new(&like).unwrap().matches(&key) {
                prop_assert!(glob_matches(glob(&like).as_bytes(), key.as_bytes()));
            }
        }
    }
}
