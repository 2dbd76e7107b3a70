//! Ids for applications that were not given one.

use std::hash::{BuildHasher, Hasher, RandomState};

const FIRST: [&str; 24] = [
    "amber", "bold", "brisk", "calm", "clever", "crisp", "eager", "fair", "gentle", "golden",
    "honest", "jolly", "keen", "lively", "mellow", "nimble", "proud", "quiet", "rapid", "silver",
    "sunny", "swift", "tidy", "witty",
];
const SECOND: [&str; 24] = [
    "badger",
    "beaver",
    "cedar",
    "comet",
    "cormorant",
    "falcon",
    "fern",
    "fox",
    "heron",
    "lark",
    "lynx",
    "maple",
    "marten",
    "otter",
    "owl",
    "pebble",
    "plover",
    "raven",
    "robin",
    "sparrow",
    "spruce",
    "thrush",
    "walnut",
    "willow",
];

/// A name of two words, as `brisk-otter`.
pub(crate) fn generate() -> String {
    // The standard library's hash keys are random, which is random enough for a name.
    let random = RandomState::new().build_hasher().finish().to_le_bytes();
    let pick = |words: &[&'static str; 24], byte: u8| words[usize::from(byte) % words.len()];
    format!("{}-{}", pick(&FIRST, random[0]), pick(&SECOND, random[1]))
}
