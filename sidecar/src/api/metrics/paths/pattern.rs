//! Path patterns in the syntax of Go's request multiplexer.

use std::cmp::Reverse;

/// What the patterns of a Configuration are prefixed with, so that they hold for
/// calls to other apps too.
const INVOKE: &str = "/v1.0/invoke/";

#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// Nothing, or whatever is left: `{name...}`, or a slash at the end.
    Rest,
    /// `{name}`
    Any,
    Literal(String),
    /// `{$}`: nothing is left.
    End,
}

impl Patterns {
    /// What does not begin with a slash is no pattern and is left out.
    pub(super) fn new(patterns: &[String]) -> Self {
        let mut all = Vec::new();
        for text in patterns.iter().filter(|p| p.starts_with('/')) {
            all.push(Pattern::new(text.clone()));
            if !text.starts_with(INVOKE) {
                all.push(Pattern::new(format!("{INVOKE}{{app_id}}/method{text}")));
            }
        }
        // The more special ones first.
        all.sort_by(|a, b| Reverse(&a.segments).cmp(&Reverse(&b.segments)));
        Self(all)
    }

    pub(super) fn find(&self, path: &str) -> Option<&str> {
        let found = self.0.iter().find(|p| p.fits(path));
        found.map(|p| p.text.as_str())
    }
}

impl Pattern {
    fn new(text: String) -> Self {
        let segments = text.split('/').skip(1).map(|segment| {
            let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            match name {
                None if segment.is_empty() => Segment::Rest,
                None => Segment::Literal(segment.to_owned()),
                Some("$") => Segment::End,
                Some(name) if name.ends_with("...") => Segment::Rest,
                Some(_) => Segment::Any,
            }
        });
        Self {
            segments: segments.collect(),
            text,
        }
    }

    fn fits(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        for segment in &self.segments {
            let part = parts.next();
            let fits = match (segment, part) {
                (Segment::Rest, part) => return part.is_some(),
                (Segment::End, part) => return part == Some("") && parts.next().is_none(),
                (Segment::Any, part) => part.is_some_and(|p| !p.is_empty()),
                (Segment::Literal(text), part) => part == Some(text),
            };
            if !fits {
                return false;
            }
        }
        parts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_pattern_that_fits_is_found() {
        let texts = [
            "/",
            "/a/{x}",
            "/a/b",
            "/a/{x}/{rest...}",
            "/files/",
            "/end/{$}",
            "odd",
        ];
        let patterns = Patterns::new(&texts.map(Into::into));
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/c", "/a/{x}"),
            ("/a/c/d/e", "/a/{x}/{rest...}"),
            ("/files/x/y", "/files/"),
            ("/files", "/"),
            ("/end/", "/end/{$}"),
            ("/end/x", "/"),
            (
                "/v1.0/invoke/app/method/a/b",
                "/v1.0/invoke/{app_id}/method/a/b",
            ),
            (
                "/v1.0/invoke/app/method/other",
                "/v1.0/invoke/{app_id}/method/",
            ),
            ("/odd", "/"),
        ] {
            assert_eq!(patterns.find(path), Some(expected), "{path}");
        }
        assert_eq!(Patterns::new(&["/a".into()]).find("/b"), None);
    }
}
