//! From a component's metadata to plain properties: secrets, environment
//! variables, placeholders.

use std::collections::BTreeMap;
use std::time::Duration;

use component::metadata::Properties;
use resources::{Component, NameValue, SecretKeyRef};

use super::Env;
use super::slots::Slots;
use crate::secrets;

const SCOPE: &str = "dapr.runtime.processor.secret";

const UUID: &str = "{uuid}";
/// How long one secret may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a component is opened with, before placeholders are filled: a `{uuid}`
/// is another one each time and makes no difference. Never shows its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    properties: Properties,
    /// From which secret a property came, by property.
    pub(super) secret_names: BTreeMap<String, String>,
    /// How many secrets could not be read; their properties are empty.
    pub(super) unread: usize,
}

pub(super) struct Resolver {
    pub(super) stores: Slots<secrets::Store>,
    pub(super) app_id: String,
    pub(super) namespace: String,
    pub(super) env: Env,
}

/// The resource that refers to secrets and variables.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    /// For log lines, such as `Component`.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    /// Where its secrets are.
    pub(super) store: Option<&'a str>,
}

impl<'a> Owner<'a> {
    pub(super) fn component(component: &'a Component) -> Self {
        Self {
            kind: "Component",
            name: &component.metadata.name,
            store: component.secret_store(),
        }
    }
}

impl Resolver {
    /// `None` when the component waits for a secret store that is not loaded.
    pub(super) async fn resolve(&self, component: &Component) -> Option<Resolved> {
        let owner = Owner::component(component);
        let mut out = Resolved::default();
        for item in &component.spec.metadata {
            if let Some(reference) = &item.secret_key_ref {
                let secret = (item.name.clone(), reference.name.clone());
                out.secret_names.extend([secret]);
            }
            // The component is left to complain about what it needs.
            let value = self.value(owner, item).await?.unwrap_or_else(|| {
                out.unread += 1;
                String::new()
            });
            out.properties.0.insert(item.name.clone(), value);
        }
        Some(out)
    }

    /// One value; inside, `None` for a secret that cannot be read, which is
    /// logged; outside, `None` without the store.
    pub(super) async fn value(&self, owner: Owner<'_>, item: &NameValue) -> Option<Option<String>> {
        if let Some(reference) = &item.secret_key_ref {
            return self.secret(owner, reference).await;
        }
        Some(Some(if item.env_ref.is_empty() {
            item.value.as_str().to_owned()
        } else {
            self.variable(owner, &item.env_ref)
        }))
    }

    /// The properties with their placeholders filled.
    pub(super) fn fill(&self, resolved: &Resolved) -> Result<Properties, String> {
        let filled = resolved.properties.0.iter().map(|(name, value)| {
            let value = self.placeholders(name, value.clone())?;
            Ok((name.clone(), value))
        });
        filled.collect::<Result<_, _>>().map(Properties)
    }

    /// Tells that a resource waits for its secret store.
    pub(super) fn waiting(owner: Owner<'_>) {
        tracing::warn!(
            target: SCOPE,
            "{} {} references a secret store that isn't loaded: {}",
            owner.kind,
            owner.name,
            owner.store.unwrap_or_default()
        );
    }

    /// The value; inside, `None` when it cannot be read, which is logged; outside,
    /// `None` without the store.
    pub(super) async fn secret(
        &self,
        owner: Owner<'_>,
        reference: &SecretKeyRef,
    ) -> Option<Option<String>> {
        let Some(store) = owner.store else {
            tracing::error!(
                target: SCOPE,
                "Error getting secret: {} {} refers to secret {} but names no store; set auth.secretStore",
                owner.kind.to_lowercase(), owner.name, reference.name
            );
            return Some(None);
        };
        let Some(store) = self.stores.wait(store).await else {
            Self::waiting(owner);
            return None;
        };
        let nothing = BTreeMap::new();
        let got = tokio::time::timeout(DEADLINE, store.component().get(&reference.name, &nothing));
        match got.await {
            Ok(Ok(secret)) => Some(Some(
                secret.0.get(reference.key()).cloned().unwrap_or_default(),
            )),
            Ok(Err(e)) => {
                tracing::error!(target: SCOPE, "Error getting secret: {e}");
                Some(None)
            }
            Err(_) => {
                let (name, limit) = (&reference.name, DEADLINE.as_secs());
                tracing::error!(
                    target: SCOPE,
                    "Error getting secret: no answer for secret {name} within {limit} s"
                );
                Some(None)
            }
        }
    }

    fn variable(&self, owner: Owner<'_>, name: &str) -> String {
        if !admitted(name, (self.env)("DAPR_ENV_KEYS").as_deref()) {
            tracing::warn!(
                target: SCOPE,
                "{} {} references an env variable that isn't allowed: {name}", owner.kind, owner.name
            );
            return String::new();
        }
        (self.env)(name).unwrap_or_default()
    }

    fn placeholders(&self, property: &str, mut value: String) -> Result<String, String> {
        if !value.contains('{') {
            return Ok(value);
        }
        while let Some(at) = value.find(UUID) {
            value.replace_range(at..at + UUID.len(), &uuid::Uuid::new_v4().to_string());
        }
        if value.contains("{podName}") {
            let pod = (self.env)("POD_NAME").filter(|p| !p.is_empty()).ok_or_else(|| {
                format!("failed to parse metadata: property {property} refers to {{podName}} but podName is not set")
            })?;
            value = value.replace("{podName}", &pod);
        }
        Ok(value
            .replace(
                "{namespace}",
                &format!("{}.{}", self.namespace, self.app_id),
            )
            .replace("{appID}", &self.app_id))
    }
}

/// Names are compared in upper case. The token variables and Dapr's own are never
/// given out; a list of admitted names, if there is one, has to hold the name.
fn admitted(name: &str, list: Option<&str>) -> bool {
    let name = name.to_uppercase();
    if name == "APP_API_TOKEN" || name.starts_with("DAPR_") || name.contains(' ') {
        return false;
    }
    match list {
        None | Some("") => true,
        Some(list) => list.split(' ').any(|admitted| admitted == name),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn variables_are_admitted_as_documented() {
        for (name, list, expected) in [
            ("HOME", None, true),
            ("app_api_token", None, false),
            ("Dapr_Anything", None, false),
            ("A B", None, false),
            ("foo", Some("FOO BAR"), true),
            ("BAZ", Some("FOO BAR"), false),
        ] {
            assert_eq!(admitted(name, list), expected, "{name} {list:?}");
        }
    }

    #[test]
    fn placeholders_are_filled() {
        let resolver = Resolver {
            stores: Slots::default(),
            app_id: "app".into(),
            namespace: "ns".into(),
            env: Arc::new(|_| None),
        };
        let fill = |text: &str| resolver.placeholders("p", text.to_owned());
        assert_eq!(fill("{appID}-{namespace}").unwrap(), "app-ns.app");
        assert_eq!(fill("plain {other}").unwrap(), "plain {other}");
        let two = fill("{uuid} {uuid}").unwrap();
        let (a, b) = two.split_once(' ').unwrap();
        assert!(a != b && a.len() == 36);
        assert!(
            fill("{podName}")
                .unwrap_err()
                .contains("podName is not set")
        );
    }
}
