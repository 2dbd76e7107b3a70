//! Random input for every decoder of this crate; PROPTEST_CASES sets how much.

use std::collections::BTreeMap;

use component::metadata::{self, ByteSize, Millis, Properties, Seconds, StrictBool};
use component::state::{self, Like};
use component::{ErrorKind, JsonSchema};
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Config {
    #[serde(alias = "a", alias = "B")]
    text: String,
    #[serde(alias = "c")]
    wait: Option<Seconds>,
    pause: Millis,
    strict: StrictBool,
    size: ByteSize,
    list: Vec<u16>,
    number: Option<i64>,
}

/// Compares by trying every length of a run.
fn matches(pattern: &[char], key: &[char]) -> bool {
    match pattern {
        [] => key.is_empty(),
        ['%', rest @ ..] => (0..=key.len()).any(|skip| matches(rest, &key[skip..])),
        ['_', rest @ ..] => !key.is_empty() && matches(rest, &key[1..]),
        ['\\', c, rest @ ..] | [c, rest @ ..] => key.first() == Some(c) && matches(rest, &key[1..]),
    }
}

proptest! {
    #[test]
    fn metadata_decodes_or_is_refused(
        given in btree_map("[aAbBcC]|text|TEXT|wait|pause|strict|size|list|number", "[-+0-9.a-zA-Zµ, ]{0,12}", 0..8),
    ) {
        let lower: BTreeMap<_, _> = given.iter().map(|(k, v)| (k.to_lowercase(), v.clone())).collect();
        match metadata::decode::<Config>(&Properties(given.clone())) {
            Err(error) => prop_assert_eq!(error.kind, ErrorKind::InvalidConfig),
            Ok(config) => {
                prop_assert_eq!(lower.len(), given.len(), "a duplicate was taken");
                if let Some(text) = lower.get("text") {
                    prop_assert_eq!(&config.text, text, "an alias won");
                }
            }
        }
    }

    #[test]
    fn like_agrees_with_the_plain_definition(pattern in "[ab%_\\\\|]{1,8}", key in "[ab%_\\\\|]{0,8}") {
        let (p, k): (Vec<char>, Vec<char>) = (pattern.chars().collect(), key.chars().collect());
        let like = Like::new(&pattern).unwrap();
        prop_assert_eq!(like.matches(&key), matches(&p, &k));
        prop_assert!(!like.matches(&key) || key.starts_with(&like.prefix()));
    }

    #[test]
    fn request_metadata_never_panics(name in "ttl|ttlInSeconds|priority|rawPayload", text in "\\PC{0,24}") {
        let given = BTreeMap::from([(name, text.clone())]);
        let _ = metadata::ttl(&given);
        let _ = metadata::priority(&given);
        let _ = metadata::raw_payload(&given);
        let _ = state::ttl_in_seconds(&given);
        let _ = metadata::quantity(&text);
    }
}
