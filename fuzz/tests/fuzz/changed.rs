//! Inputs that are nearly right.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The most bytes that one change adds.
const MOST: usize = 512;

#[derive(Clone, Copy, Debug)]
enum Change {
    Flip(u8),
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
    Repeat(usize),
}

/// The files of a target, in the order of their names.
pub(crate) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(folder).expect("every target has a corpus");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

/// A file of the corpus with some bits and bytes changed, cut out or repeated.
pub(crate) fn changed(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = prop_oneof![
        4 => (0..8u8).prop_map(|bit| Change::Flip(1 << bit)),
        4 => any::<u8>().prop_map(Change::Set),
        2 => any::<u8>().prop_map(Change::Insert),
        2 => Just(Change::Remove),
        1 => Just(Change::Cut),
        2 => (1..8usize).prop_map(Change::Repeat),
    ];
    let change = (any::<Index>(), any::<Index>(), change);
    // Few changes leave most of the input as it should be.
    let changes = prop_oneof![
        3 => prop::collection::vec(change.clone(), 0..3),
        1 => prop::collection::vec(change, 3..12),
    ];
    (select(corpus(name)), changes).prop_map(|(mut data, changes)| {
        for (from, to, change) in changes {
            if data.is_empty() {
                break;
            }
            let (from, to) = (from.index(data.len()), to.index(data.len()));
            apply(&mut data, from.min(to), from.max(to), change);
        }
        data
    })
}

fn apply(data: &mut Vec<u8>, from: usize, to: usize, change: Change) {
    match change {
        Change::Flip(bit) => data[from] ^= bit,
        Change::Set(byte) => data[from] = byte,
        Change::Insert(byte) => data.insert(from, byte),
        Change::Remove => drop(data.drain(from..to)),
        Change::Cut => data.truncate(to),
        Change::Repeat(times) => {
            let to = to.min(from + MOST / times);
            let part = data[from..to].repeat(times);
            data.splice(to..to, part);
        }
    }
}

/// Input that has nothing to do with the corpus.
pub(crate) fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z:\\[\\]{}\"'|>&*!%@`#, \n-]{0,200}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}
