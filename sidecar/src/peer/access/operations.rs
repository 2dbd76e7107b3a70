//! Patterns of operations: a tree of path segments in the order they were
//! written.

/// What one operation says.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) allow: bool,
    /// In upper case, or `*`; empty covers none.
    pub(super) verbs: Vec<String>,
}

impl Rule {
    pub(super) fn covers(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb || v == "*")
    }
}

/// A pattern is a prefix: a rule also covers what is below its path and hides
/// the rules there.
#[derive(Debug, Default)]
pub(super) struct Operations {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    rule: Option<Rule>,
    children: Vec<(String, Node)>,
}

impl FromIterator<(String, Rule)> for Operations {
    /// Of two rules for one path the first is kept.
    fn from_iter<I: IntoIterator<Item = (String, Rule)>>(rules: I) -> Self {
        let mut operations = Self::default();
        for (name, rule) in rules {
            let mut node = &mut operations.root;
            for segment in name.strip_prefix('/').unwrap_or(&name).split('/') {
                let at = node.children.iter().position(|(s, _)| s == segment);
                let at = at.unwrap_or_else(|| {
                    node.children.push((segment.to_owned(), Node::default()));
                    node.children.len() - 1
                });
                node = &mut node.children[at].1;
            }
            node.rule.get_or_insert(rule);
        }
        operations
    }
}

impl Operations {
    /// The rule for a path, with or without a leading slash.
    pub(super) fn find(&self, path: &str) -> Option<&Rule> {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.root.find(Some(path))
    }
}

impl Node {
    /// `rest` is what is left of the path below this node.
    fn find(&self, rest: Option<&str>) -> Option<&Rule> {
        let Some(rest) = rest else {
            // A last `*` takes its parent too.
            let any = self.children.iter().find(|(s, _)| s == "*");
            return any.and_then(|(_, node)| node.rule.as_ref());
        };
        let (segment, below) = match rest.split_once('/') {
            Some((segment, below)) => (segment, Some(below)),
            None => (rest, None),
        };
        self.children.iter().find_map(|(pattern, node)| {
            let fits = match pattern.as_str() {
                "**" => return node.rule.as_ref(),
                "*" => below.is_none() && node.rule.is_some(),
                pattern => pattern == segment || glob(pattern, segment),
            };
            if !fits {
                return None;
            }
            node.rule.as_ref().or_else(|| node.find(below))
        })
    }
}

/// `*` stands for any characters, also none.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], path: &str, expected: Option<usize>) {
        let rules = patterns.iter().enumerate().map(|(i, pattern)| {
            let verbs = vec![i.to_string()];
            ((*pattern).to_owned(), Rule { allow: true, verbs })
        });
        let operations: Operations = rules.collect();
        let found = operations.find(path).map(|rule| rule.verbs[0].clone());
        assert_eq!(
            found,
            expected.map(|i| i.to_string()),
            "{patterns:?} {path}"
        );
    }

    #[test]
    fn a_rule_covers_its_path_and_what_is_below() {
        check(&["/a/b"], "/a/b", Some(0));
        check(&["a/b"], "a/b", Some(0));
        check(&["/a/b"], "/a/b/c/d", Some(0));
        check(&["/a/b"], "/a", None);
        check(&["/a/b"], "/a/bc", None);
        check(&["/a", "/a/b"], "/a/b", Some(0));
        check(&["/a/b", "/a/b"], "/a/b", Some(0));
        check(&["/a/b", "/a/c"], "/a/c", Some(1));
    }

    #[test]
    fn a_last_star_takes_one_segment_or_the_parent() {
        check(&["/a/*"], "/a/x", Some(0));
        check(&["/a/*"], "/a", Some(0));
        check(&["/a/*"], "/a/x/y", None);
        check(&["/*"], "/x", Some(0));
        check(&["/a/*/c"], "/a/b/c", None);
    }

    #[test]
    fn two_stars_take_everything_below() {
        check(&["/a/**"], "/a/x/y/z", Some(0));
        check(&["/**"], "/x", Some(0));
        check(&["/a/**"], "/b", None);
    }

    #[test]
    fn a_star_inside_a_segment_is_any_text() {
        for (pattern, segment, fits) in [
            ("a*", "abc", true),
            ("a*", "a", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "axbyc", true),
            ("a*c", "abd", false),
            ("ab*bc", "abc", false),
        ] {
            check(
                &[&format!("/{pattern}")],
                &format!("/{segment}"),
                fits.then_some(0),
            );
        }
    }

    #[test]
    fn the_first_that_fits_wins() {
        check(&["/a*", "/ab"], "/ab", Some(0));
        check(&["/ab", "/a*"], "/ab", Some(0));
        check(&["/a*/x", "/ab/y"], "/ab/y", Some(1));
        check(&["/*", "/ab"], "/ab", Some(0));
    }
}
