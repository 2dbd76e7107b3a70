//! A round of random input on the stable toolchain; PROPTEST_CASES sets how much.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

fn corpus(name: &str) -> Vec<Vec<u8>> {
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

/// A file of the corpus with some bytes changed, cut out or doubled.
fn changed(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<Index>(), any::<Index>(), any::<u8>(), 0..4);
    let changes = proptest::collection::vec(change, 0..12);
    (proptest::sample::select(corpus(name)), changes).prop_map(|(mut data, changes)| {
        for (from, to, byte, kind) in changes {
            if data.is_empty() {
                break;
            }
            let (from, to) = (from.index(data.len()), to.index(data.len()));
            let (from, to) = (from.min(to), from.max(to));
            match kind {
                0 => data[from] = byte,
                1 => data.insert(from, byte),
                2 => drop(data.drain(from..to)),
                // Doubling at most this much keeps the input small.
                _ => data.extend_from_within(from..to.min(from + 512)),
            }
        }
        data
    })
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z:\\[\\]{}\"'|>&*!%@`#, \n-]{0,200}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(proptest! {
            #[test]
            fn $name(data in prop_oneof![3 => changed(stringify!($name)), 1 => any_text()]) {
                fuzz::$name(&data);
            }
        })*

        #[test]
        fn the_corpus_itself_passes() {
            $(corpus(stringify!($name)).iter().for_each(|data| fuzz::$name(data));)*
        }
    };
}

targets! { documents metadata flags }

#[test]
fn deep_nesting_is_refused_without_an_overflow() {
    for open in ["[", "{a: ", "- ", "? "] {
        fuzz::documents(open.repeat(20_000).as_bytes());
    }
    // An alias of aliases grows tenfold with every line.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let refs = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{refs}]\n");
    }
    fuzz::documents(bomb.as_bytes());
}
