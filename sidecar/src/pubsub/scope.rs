//! Which topics an app may publish and subscribe to.

use component::metadata::Properties;

/// The scopes that a component's metadata holds.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    allowed: Vec<String>,
    protected: Vec<String>,
    publishing: Option<Vec<String>>,
    subscription: Option<Vec<String>>,
}

impl Scopes {
    pub(super) fn new(properties: &Properties, app_id: &str) -> Self {
        let value = |name| properties.get(name).unwrap_or_default().replace(' ', "");
        Self {
            allowed: list(&value("allowedTopics")),
            protected: list(&value("protectedTopics")),
            publishing: of_app(&value("publishingScopes"), app_id),
            subscription: of_app(&value("subscriptionScopes"), app_id),
        }
    }

    pub(super) fn may_publish(&self, topic: &str) -> bool {
        self.permits(topic, self.publishing.as_deref())
    }

    pub(super) fn may_subscribe(&self, topic: &str) -> bool {
        self.permits(topic, self.subscription.as_deref())
    }

    fn permits(&self, topic: &str, scope: Option<&[String]>) -> bool {
        let listed = |topics: &[String]| topics.iter().any(|t| t == topic);
        if !self.allowed.is_empty() && !listed(&self.allowed) {
            return false;
        }
        match scope {
            None => !listed(&self.protected),
            Some(topics) => listed(topics),
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The topics of one app in `app1=a,b;app2=c`; its entries add up, those without
/// `=` are ignored.
fn of_app(text: &str, app_id: &str) -> Option<Vec<String>> {
    let mine = text
        .split(';')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(app, _)| *app == app_id);
    let topics: Vec<Vec<String>> = mine.map(|(_, topics)| list(topics)).collect();
    (!topics.is_empty()).then(|| topics.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_permitted_as_documented() {
        for (properties, topic, expected) in [
            (&[][..], "a", true),
            (&[("allowedTopics", "a, b")][..], "b", true),
            (&[("allowedTopics", "a,b")], "c", false),
            (&[("publishingScopes", "app=a;app=b;other=c")], "b", true),
            (&[("publishingScopes", "app=a")], "c", false),
            (&[("publishingScopes", "app=")], "a", false),
            (&[("publishingScopes", "other=a;app")], "c", true),
            (&[("PROTECTEDTOPICS", "a")], "a", false),
            (
                &[("protectedTopics", "a"), ("publishingScopes", "app=a")],
                "a",
                true,
            ),
            (
                &[("allowedTopics", "b"), ("publishingScopes", "app=a")],
                "a",
                false,
            ),
        ] {
            let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
            assert_eq!(
                Scopes::new(&properties, "app").may_publish(topic),
                expected,
                "{properties:?} {topic}"
            );
        }
    }
}
