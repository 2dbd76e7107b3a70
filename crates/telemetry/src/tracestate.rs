//! W3C's `tracestate`: what other tracers want to be carried along.

use std::fmt;
use std::sync::Arc;

/// Upstream sends no longer one, so a longer one is not worth keeping.
const LONGEST: usize = 512;
const MEMBERS: usize = 32;
const KEY: usize = 256;
const VALUE: usize = 256;

/// A valid list of at most 512 bytes; clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// Reads the values of one or several headers; `None` when there is
    /// nothing in them, when a member is not valid or when they are too long.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut members: Vec<&str> = Vec::new();
        for member in values.into_iter().flat_map(|value| value.split(',')) {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let twice = members.iter().any(|m| key_of(m) == key);
            if twice || members.len() == MEMBERS || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push(member);
        }
        let length = members.iter().map(|m| m.len() + 1).sum::<usize>();
        let fits = !members.is_empty() && length - 1 <= LONGEST;
        fits.then(|| Self(members.join(",").into()))
    }

    /// The text of one header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn key_of(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key)
}

fn is_key(key: &str) -> bool {
    let first = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let later = |b: &u8| first(b) || b"_-*/@".contains(b);
    key.len() <= KEY && key.as_bytes().first().is_some_and(first) && key.bytes().all(|b| later(&b))
}

fn is_value(value: &str) -> bool {
    let printable = |b: u8| matches!(b, b' '..=b'~') && b != b'=';
    !value.is_empty() && value.len() <= VALUE && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Option<&str>) {
        let state = TraceState::parse(values.iter().copied());
        assert_eq!(
            state.as_ref().map(TraceState::as_str),
            expected,
            "{values:?}"
        );
    }

    #[test]
    fn valid_lists_are_kept_in_order() {
        check(&["vendor=1"], Some("vendor=1"));
        check(&["a=1,b=2"], Some("a=1,b=2"));
        check(&["a=1 ,\tb=2,, "], Some("a=1,b=2"));
        check(&["a=1", "b=2"], Some("a=1,b=2"));
        check(&["tenant@system=x y"], Some("tenant@system=x y"));
        check(&["1a_-*/=!~"], Some("1a_-*/=!~"));
    }

    #[test]
    fn anything_else_is_dropped_as_a_whole() {
        for value in [
            "", ",", " ", "a", "=1", "a=", "A=1", "_a=1", "a b=1", "a=1,a=2", "a=1=2", "a=1,b",
            "a=ü",
        ] {
            check(&[value], None);
        }
        check(&[&format!("{}=1", "a".repeat(257))], None);
        check(&[&format!("a={}", "1".repeat(257))], None);
    }

    #[test]
    fn the_length_and_the_number_of_members_are_bounded() {
        let members = |n| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>();
        let list = members(32).join(",");
        check(&[&list], Some(&list));
        check(&[&members(33).join(",")], None);
        let long = |n| format!("a={},b={}", "x".repeat(250), "x".repeat(n));
        check(&[&long(257 - 2)], Some(&long(255)));
        let (fits, over) = (
            format!("{},c=1", long(253)),
            format!("{},c=12345", long(253)),
        );
        assert_eq!((fits.len(), over.len()), (512, 516));
        check(&[&fits], Some(&fits));
        check(&[&over], None);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_kept_parses_again(text in "\\PC{0,60}|([a-z]{1,2}=[a-z ]{1,3},?){0,6}") {
            if let Some(state) = TraceState::parse([text.as_str()]) {
                prop_assert_eq!(TraceState::parse([state.as_str()]), Some(state));
            }
        }
    }
}
