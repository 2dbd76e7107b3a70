//! A round of random input on the stable toolchain; PROPTEST_CASES sets how much.

mod changed;
mod made;

use proptest::prelude::*;

use changed::{any_text, changed, corpus};

macro_rules! targets {
    ($($name:ident)*) => {
        $(proptest! {
            #[test]
            fn $name(data in prop_oneof![4 => changed(stringify!($name)), 1 => any_text()]) {
                fuzz::$name(&data);
            }
        })*

        #[test]
        fn the_corpus_itself_passes() {
            $(corpus(stringify!($name)).iter().for_each(|data| fuzz::$name(data));)*
        }

        #[test]
        fn every_target_has_a_coverage_guided_twin() {
            let manifest = include_str!("../../libfuzzer/Cargo.toml");
            let names = [$(stringify!($name)),*];
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            }
            assert_eq!(manifest.matches("[[bin]]").count(), names.len());
        }
    };
}

targets! {
    access
    answers
    calls
    certificates
    chunks
    conditions
    documents
    etcd
    flags
    ids
    jobs
    keys
    metadata
    reports
    requests
    resiliency
    schedules
    tokens
    trace
}

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

#[test]
fn the_resources_of_the_corpus_are_valid() {
    for data in ["access", "resiliency"].into_iter().flat_map(corpus) {
        let loaded = resources::load::parse_documents(&data, "corpus.yaml");
        assert_eq!(loaded.problems, []);
        assert!(!loaded.resources.is_empty());
    }
}

#[test]
fn the_jobs_of_the_corpus_are_taken() {
    for data in corpus("jobs") {
        let taken = scheduler::fuzzing::job(&data, jiff::Timestamp::UNIX_EPOCH);
        assert!(taken.is_ok(), "{taken:?}");
    }
}
