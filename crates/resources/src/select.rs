//! Which of the objects read are for this sidecar.

use std::collections::BTreeMap;

use crate::Object;

/// Two objects of one kind have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("duplicate definition of {kind} name {second} with existing {first}")]
pub struct Duplicate {
    pub kind: &'static str,
    /// Titles, as log lines name the objects.
    pub first: String,
    pub second: String,
}

/// Keeps the objects of the namespace and of the app. `namespace` is the
/// sidecar's own, empty when it has none: then, and for objects without a
/// namespace, the check is left out.
///
/// A name used twice is an error even when the second object is out of scope;
/// an earlier one that is out of scope does not count. Subscriptions may repeat.
pub fn select<T: Object>(
    objects: impl IntoIterator<Item = T>,
    app_id: &str,
    namespace: &str,
) -> Result<Vec<T>, Duplicate> {
    let mut kept: Vec<T> = Vec::new();
    let mut names = BTreeMap::new();
    for object in objects {
        let own = &object.meta().namespace;
        if !namespace.is_empty() && !own.is_empty() && own != namespace {
            continue;
        }
        if let Some(first) = names.get(&object.meta().name)
            && T::KIND != "Subscription"
        {
            let first: &T = &kept[*first];
            return Err(Duplicate {
                kind: T::KIND,
                first: first.title(),
                second: object.title(),
            });
        }
        if object.scopes().is_empty() || object.scopes().iter().any(|s| s == app_id) {
            names.insert(object.meta().name.clone(), kept.len());
            kept.push(object);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, Subscription};

    fn component(name: &str, namespace: &str, scope: &str) -> Component {
        let mut c = Component::default();
        c.metadata.name = name.into();
        c.metadata.namespace = namespace.into();
        c.spec.component_type = "state.x".into();
        c.spec.version = "v1".into();
        c.scopes = if scope.is_empty() {
            Vec::new()
        } else {
            vec![scope.into()]
        };
        c
    }

    fn check(input: &[(&str, &str, &str)], namespace: &str, expected: Result<&[&str], &str>) {
        let objects = input.iter().map(|(n, ns, s)| component(n, ns, s));
        let got = select(objects, "me", namespace);
        let got = got.map(|kept| {
            kept.into_iter()
                .map(|c| c.metadata.name)
                .collect::<Vec<_>>()
        });
        match expected {
            Ok(names) => assert_eq!(got.unwrap(), names),
            Err(text) => assert_eq!(got.unwrap_err().to_string(), text),
        }
    }

    #[test]
    fn namespace_then_name_then_scope() {
        check(
            &[("a", "", ""), ("b", "other", ""), ("c", "mine", "")],
            "mine",
            Ok(&["a", "c"]),
        );
        check(&[("b", "other", "")], "", Ok(&["b"]));
        check(&[("a", "", "me"), ("b", "", "you")], "", Ok(&["a"]));
        let duplicate =
            "duplicate definition of Component name a (state.x/v1) with existing a (state.x/v1)";
        check(&[("a", "", ""), ("a", "", "you")], "", Err(duplicate));
        check(&[("a", "", "you"), ("a", "", "")], "", Ok(&["a"]));
        check(&[("a", "mine", ""), ("a", "other", "")], "mine", Ok(&["a"]));
    }

    #[test]
    fn subscriptions_may_repeat() {
        let s = Subscription::default();
        assert_eq!(select([s.clone(), s], "me", "").unwrap().len(), 2);
    }
}
