//! Which names of jobs a range of etcd keys covers: pure.

use bytes::Bytes;

use crate::etcd::keys::{COUNTERS, JOBS, LEADERSHIP, NO_END, after, end_of};

/// What lies under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Counters,
    Jobs,
    Leadership,
}

impl Section {
    /// In the order of their keys.
    const ALL: [Self; 3] = [Self::Counters, Self::Jobs, Self::Leadership];

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Counters => COUNTERS,
            Self::Jobs => JOBS,
            Self::Leadership => LEADERSHIP,
        }
    }

    /// The section of a key, and the name in it.
    pub(super) fn of(key: &[u8]) -> Option<(Self, &str)> {
        let found = Self::ALL.iter().find_map(|section| {
            let name = key.strip_prefix(section.prefix().as_bytes())?;
            Some((*section, name))
        });
        let (section, name) = found?;
        Some((section, std::str::from_utf8(name).ok()?))
    }

    pub(super) fn key(self, name: &str) -> Bytes {
        [self.prefix(), name].concat().into()
    }
}

/// The names of a section from one up to, not including, another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) section: Section,
    from: Bytes,
    /// `None` is no bound.
    to: Option<Bytes>,
}

/// What a range covers, in the order of keys.
pub(super) fn spans(key: &Bytes, end: &Bytes) -> Vec<Span> {
    let end = match &**end {
        b"" => Some(after(key)),
        NO_END => None,
        _ => Some(end.clone()),
    };
    let sections = Section::ALL.into_iter();
    sections
        .filter_map(|section| Span::within(section, key, end.as_ref()))
        .collect()
}

impl Span {
    fn within(section: Section, key: &Bytes, end: Option<&Bytes>) -> Option<Self> {
        let prefix = section.prefix().as_bytes();
        let rest = |key: &Bytes| key.starts_with(prefix).then(|| key.slice(prefix.len()..));
        let from = match rest(key) {
            Some(name) => name,
            None if **key < *prefix => Bytes::new(),
            None => return None,
        };
        let to = match end {
            None => None,
            Some(end) => match rest(end) {
                Some(name) => Some(name),
                None if **end < *prefix => return None,
                None => None,
            },
        };
        let is_empty = to.as_ref().is_some_and(|to| *to <= from);
        (!is_empty).then_some(Self { section, from, to })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        name.as_bytes() >= &*self.from && !self.is_past(name)
    }

    /// Whether this and all later names lie behind the span.
    pub(super) fn is_past(&self, name: &str) -> bool {
        self.to.as_ref().is_some_and(|to| name.as_bytes() >= &**to)
    }

    /// The one name, if there can be only one.
    pub(super) fn single(&self) -> Option<&str> {
        let single = self.to.as_ref().is_some_and(|to| *to == after(&self.from));
        std::str::from_utf8(&self.from).ok().filter(|_| single)
    }

    /// The text with which all names begin, and no others do.
    pub(super) fn prefix(&self) -> Option<&str> {
        let all = match &self.to {
            None => self.from.is_empty(),
            Some(to) => *to == end_of(&self.from),
        };
        std::str::from_utf8(&self.from).ok().filter(|_| all)
    }

    /// A text before which there is no name.
    pub(super) fn start(&self) -> &str {
        text(&self.from)
    }

    /// A text with which all names begin; others may as well.
    pub(super) fn stem(&self) -> &str {
        if let Some(prefix) = self.prefix() {
            return prefix;
        }
        let to = self.to.as_deref().unwrap_or_default();
        let pairs = self.from.iter().zip(to);
        let alike = pairs.take_while(|(one, other)| one == other).count();
        text(&self.from[..alike])
    }
}

/// What of it is a text: a character may be cut through.
fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(key: &str, end: &str, among: &[&str]) -> Vec<String> {
        let spans = spans(&key.to_owned().into(), &end.to_owned().into());
        let names = spans.iter().flat_map(|span| {
            let inside = among.iter().filter(|name| span.contains(name));
            inside.map(|name| format!("{}{name}", span.section.prefix()))
        });
        names.collect()
    }

    #[test]
    fn ranges_cover_what_lies_between_their_ends() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("dapr/jobs/a", "", &["dapr/jobs/a"]),
            (
                "dapr/jobs/a",
                "dapr/jobs/b",
                &["dapr/jobs/a", "dapr/jobs/ab"],
            ),
            ("dapr/jobs/b", "dapr/jobs/a", &[]),
            (
                "dapr/jobs/",
                "dapr/jobs0",
                &["dapr/jobs/a", "dapr/jobs/ab", "dapr/jobs/b"],
            ),
            (
                "dapr/jobs/ab",
                "\0",
                &[
                    "dapr/jobs/ab",
                    "dapr/jobs/b",
                    "dapr/leadership/a",
                    "dapr/leadership/ab",
                    "dapr/leadership/b",
                ],
            ),
            (
                "dapr/counters/b",
                "dapr/jobs/ab",
                &["dapr/counters/b", "dapr/jobs/a"],
            ),
            ("dapr/jobs", "", &[]),
            ("x", "\0", &[]),
            ("a", "b", &[]),
        ];
        for (key, end, expected) in cases {
            assert_eq!(
                names(key, end, &["a", "ab", "b"]),
                *expected,
                "{key} {end:?}"
            );
        }
        assert_eq!(names("\0", "\0", &["a"]).len(), 3);
        assert_eq!(names("dapr/", "dapr0", &["a"]).len(), 3);
    }

    #[test]
    fn one_name_and_all_names_of_a_prefix_are_told_apart() {
        let span = |key: &str, end: &[u8]| {
            spans(&key.to_owned().into(), &Bytes::copy_from_slice(end)).remove(0)
        };
        let single = span("dapr/jobs/a", b"");
        assert_eq!((single.single(), single.prefix()), (Some("a"), None));
        let prefix = span("dapr/jobs/a", b"dapr/jobs/b");
        assert_eq!((prefix.single(), prefix.prefix()), (None, Some("a")));
        assert_eq!(span("dapr/jobs/", b"dapr/jobs0").prefix(), Some(""));
        let rest = span("dapr/jobs/ab\0", b"dapr/jobs/ac");
        assert_eq!((rest.prefix(), rest.stem()), (None, "a"));
    }

    proptest! {
        #[test]
        fn every_name_of_a_span_begins_with_its_stem(
            key in "dapr/jobs/[ab|é]{0,4}", end in "(dapr/jobs/[ab|é]{0,4}|dapr/jobs0|\0)",
            name in "[ab|é]{0,5}"
        ) {
            for span in spans(&key.into(), &end.into()) {
                prop_assert!(!span.contains(&name) || name.starts_with(span.stem()));
                prop_assert!(!span.contains(&name) || *name >= *span.start());
                prop_assert_eq!(span.prefix().is_some_and(|p| name.starts_with(p)), span.prefix().is_some() && span.contains(&name));
                prop_assert_eq!(span.single() == Some(&*name), span.single().is_some() && span.contains(&name));
            }
        }
    }
}
