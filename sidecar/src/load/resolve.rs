//! From a component's metadata to plain properties: secrets, environment
//! variables, placeholders.

use std::collections::BTreeMap;

use component::metadata::Properties;
use resources::{Component, SecretKeyRef};

use super::Env;
use super::slots::Slots;
use crate::secrets;

/// What a component is opened with. `Properties` never shows its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) properties: Properties,
    /// From which secret a property came, by property.
    pub(super) secret_names: BTreeMap<String, String>,
}

pub(super) struct Resolver {
    pub(super) stores: Slots<secrets::Store>,
    pub(super) app_id: String,
    pub(super) namespace: String,
    pub(super) env: Env,
}

impl Resolver {
    /// `Ok(None)` when the component waits for a secret store that is not loaded.
    pub(super) async fn resolve(&self, component: &Component) -> Result<Option<Resolved>, String> {
        let mut out = Resolved::default();
        for item in &component.spec.metadata {
            let value = if let Some(reference) = &item.secret_key_ref {
                let Some(value) = self.secret(component, reference).await else {
                    return Ok(None);
                };
                out.secret_names
                    .insert(item.name.clone(), reference.name.clone());
                value
            } else if !item.env_ref.is_empty() {
                self.variable(component, &item.env_ref)
            } else {
                item.value.as_str().to_owned()
            };
            let value = self.placeholders(&item.name, value)?;
            out.properties.0.insert(item.name.clone(), value);
        }
        Ok(Some(out))
    }

    /// The value, empty when it cannot be read (which is logged, and left to the
    /// component to complain about); `None` without the store.
    async fn secret(&self, component: &Component, reference: &SecretKeyRef) -> Option<String> {
        let store_name = component.secret_store().unwrap_or_default();
        if store_name.is_empty() {
            tracing::error!(
                target: "dapr.runtime.processor.secret",
                "Error getting secret: component {} refers to secret {} but names no store; set auth.secretStore",
                component.metadata.name, reference.name
            );
            return Some(String::new());
        }
        let Some(store) = self.stores.wait(store_name).await else {
            tracing::warn!(
                target: "dapr.runtime.processor.secret",
                "Component {} references a secret store that isn't loaded: {store_name}", component.metadata.name
            );
            return None;
        };
        let secret = match store
            .component()
            .get(&reference.name, &BTreeMap::new())
            .await
        {
            Ok(secret) => secret,
            Err(e) => {
                tracing::error!(target: "dapr.runtime.processor.secret", "Error getting secret: {e}");
                return Some(String::new());
            }
        };
        Some(secret.0.get(reference.key()).cloned().unwrap_or_default())
    }

    fn variable(&self, component: &Component, name: &str) -> String {
        if !admitted(name, (self.env)("DAPR_ENV_KEYS").as_deref()) {
            tracing::warn!(
                target: "dapr.runtime.processor.secret",
                "Component {} references an env variable that isn't allowed: {name}", component.metadata.name
            );
            return String::new();
        }
        (self.env)(name).unwrap_or_default()
    }

    fn placeholders(&self, property: &str, mut value: String) -> Result<String, String> {
        if !value.contains('{') {
            return Ok(value);
        }
        while let Some(at) = value.find("{uuid}") {
            value.replace_range(at..at + "{uuid}".len(), &uuid::Uuid::new_v4().to_string());
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
