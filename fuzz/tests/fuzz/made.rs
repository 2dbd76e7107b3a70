//! Inputs that are made right, so that it is known what has to come out.

use bytes::{BufMut, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use resources::configuration::{AccessControl, AccessPolicy, AppOperation};
use security::SpiffeId;
use sidecar::fuzzing::Access;

/// A path and a pattern made from it, with a star for a part of some segments.
fn path_and_pattern() -> impl Strategy<Value = (String, String)> {
    let star = proptest::option::of((any::<Index>(), any::<Index>()));
    vec(("[a-cA-C]{2,6}", star), 1..5).prop_map(|segments| {
        let pattern = segments.iter().map(|(segment, star)| match star {
            None => segment.clone(),
            Some((from, to)) => {
                let (from, to) = (from.index(segment.len()), to.index(segment.len()));
                let (from, to) = (from.min(to), from.max(to));
                format!("{}*{}", &segment[..from], &segment[to..])
            }
        });
        let pattern: Vec<_> = pattern.collect();
        let path: Vec<_> = segments
            .iter()
            .map(|(segment, _)| segment.as_str())
            .collect();
        (path.join("/"), pattern.join("/"))
    })
}

/// A list that lets `cart` make calls that fit one pattern, and denies the rest.
fn allowing(pattern: &str, http: bool) -> Result<Access, String> {
    let operation = AppOperation {
        name: pattern.to_owned(),
        http_verb: vec!["POST".into()],
        action: "allow".into(),
    };
    let policy = AccessPolicy {
        app_id: "cart".into(),
        default_action: "deny".into(),
        trust_domain: "public".into(),
        namespace: "shop".into(),
        operations: vec![operation],
    };
    let spec = AccessControl {
        default_action: "deny".into(),
        trust_domain: "public".into(),
        policies: Some(vec![policy]),
    };
    let list = Access::compile(&spec, http)?;
    Ok(list.expect("it restricts"))
}

fn condition() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("requests".to_owned()),
        Just("totalFailures".to_owned()),
        Just("consecutiveSuccesses".to_owned()),
        (0..4u8).prop_map(|n| n.to_string()),
    ];
    let number = number.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), "[-+*/%]", inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    });
    let compared = (number.clone(), "<|<=|>|>=|==|!=", number);
    let compared = compared.prop_map(|(a, op, b)| format!("{a} {op} {b}"));
    compared.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), "&&|\\|\\|", inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
}

fn trace_headers() -> impl Strategy<Value = String> {
    let parent = "traceparent: (00|0[0-9a-f]|ff)-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f](-x)?";
    let state = "tracestate: ([a-z][a-z0-9_*/@-]{0,3}=[!-+.-<>-~]{1,4} ?, ?){0,6}";
    let baggage = "baggage: ([a-c]{1,2} ?=( ?[a-z]|%[0-9a-f]{2}){0,4}(;[p-r](=1)?)?,){0,5}z=1";
    let binary =
        "grpc-trace-bin: AAA[A-Za-z0-9+/]{21}A[Q-Za-f][A-Za-z0-9+/]{10}(A[g-v][AEIMQUYcgkosw048])?";
    vec(prop_oneof![parent, state, baggage, binary], 0..5).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn messages_are_counted_wherever_they_are_cut(
        sizes in vec(prop_oneof![Just(0u32), 0..40u32, 250..260u32], 0..12),
        cut in any::<Index>(),
    ) {
        let mut data = BytesMut::new();
        let mut starts = Vec::new();
        for size in &sizes {
            starts.push(data.len());
            data.put_u8(0);
            data.put_u32(*size);
            data.put_bytes(7, *size as usize);
        }
        prop_assert_eq!(sidecar::fuzzing::messages(&data), sizes.len());
        let cut = cut.index(data.len() + 1);
        // A message is one as soon as its prefix is there.
        let begun = starts.iter().filter(|start| **start + 5 <= cut).count();
        prop_assert_eq!(sidecar::fuzzing::messages(&data[..cut]), begun);
        fuzz::calls(&data[..cut]);
    }

    #[test]
    fn a_body_of_any_size_is_what_its_chunks_say(size in 0..200_000usize, byte in any::<u8>()) {
        fuzz::chunks(&vec![byte; size]);
    }

    #[test]
    fn a_pattern_covers_the_paths_it_is_made_from_and_no_other(
        (path, pattern) in path_and_pattern(),
        http in any::<bool>(),
    ) {
        let list = allowing(&pattern, http).expect("a list");
        let cart = SpiffeId::new("public", "shop", "cart");
        let passes = |path: &str| list.check(Some(&cart), path, Some("POST")).is_ok();
        prop_assert!(passes(&path), "{} does not cover {}", pattern, path);
        let below = format!("/{path}/below");
        prop_assert!(passes(&below), "{} does not cover {}", pattern, below);
        for other in [format!("zz/{path}"), path.replace(char::is_alphanumeric, "z"), String::new()] {
            prop_assert!(!passes(&other), "{} covers {}", pattern, other);
        }
        for (domain, namespace, app) in [("x", "shop", "cart"), ("public", "x", "cart"), ("public", "shop", "x")] {
            let stranger = SpiffeId::new(domain, namespace, app);
            prop_assert!(list.check(Some(&stranger), &path, Some("POST")).is_err());
        }
        prop_assert!(list.check(None, &path, Some("POST")).is_err());
    }

    #[test]
    fn an_id_has_the_parts_it_is_made_of(
        domain in "[a-z0-9._-]{1,20}", namespace in "[^/]{1,10}", app in "[^/]{1,10}", more in "(/[a-z/]{0,5})?",
    ) {
        let id = format!("spiffe://{domain}/ns/{namespace}/{app}{more}").parse();
        prop_assert_eq!(id, Ok(SpiffeId::new(&domain, &namespace, &app)));
    }

    #[test]
    fn conditions_that_compile_never_agree_with_their_opposite(condition in condition()) {
        fuzz::conditions(condition.as_bytes());
    }

    #[test]
    fn valid_trace_headers_are_handed_on(lines in trace_headers()) {
        fuzz::trace(lines.as_bytes());
    }
}

#[test]
fn paths_of_very_many_segments_overflow_nothing() {
    let deep = |segments: usize| vec!["a"; segments].join("/");
    assert!(allowing(&deep(30_000), true).is_err());
    let list = allowing(&deep(250), true).expect("not too deep");
    let cart = SpiffeId::new("public", "shop", "cart");
    let passes = |path: &str| list.check(Some(&cart), path, Some("POST")).is_ok();
    assert!(passes(&deep(250)) && passes(&deep(30_000)));
    assert!(!passes(&deep(249)));
}
