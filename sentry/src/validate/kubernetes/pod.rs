//! What of pods and Configurations decides about identities.

use serde::Deserialize;

/// The services of the control plane, by their annotation.
const CONTROL_PLANE: [&str; 5] = ["operator", "placement", "injector", "sentry", "scheduler"];

/// A pod, as far as it matters.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WirePod")]
pub(super) struct Pod {
    pub(super) service_account: String,
    pub(super) control_plane: Option<String>,
    pub(super) app_id: Option<String>,
    /// The name of its Configuration.
    pub(super) config: Option<String>,
}

/// Who a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A service of the control plane, with its id.
    Service(String),
    App(String),
}

impl Pod {
    /// The id that the pod of this name may have.
    pub(super) fn who(&self, namespace: &str, name: &str, own: &str) -> Result<Who, String> {
        let Some(service) = &self.control_plane else {
            let id = self.app_id.as_deref().unwrap_or(name);
            return Ok(Who::App(id.to_owned()));
        };
        if namespace != own {
            return Err(format!(
                "control plane service in namespace '{namespace}' is not allowed"
            ));
        }
        if !CONTROL_PLANE.contains(&service.as_str()) {
            return Err(format!("unknown control plane service '{name}'"));
        }
        if self.app_id.is_some() {
            return Err(format!(
                "control plane service '{name}' cannot have annotation 'dapr.io/app-id'"
            ));
        }
        Ok(Who::Service(format!("dapr-{service}")))
    }
}

#[derive(Deserialize)]
struct WirePod {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: WireSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMeta {
    annotations: Option<Annotations>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "dapr.io/control-plane")]
    control_plane: Option<String>,
    #[serde(rename = "dapr.io/app-id")]
    app_id: Option<String>,
    #[serde(rename = "dapr.io/config")]
    config: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    service_account_name: String,
}

impl From<WirePod> for Pod {
    fn from(wire: WirePod) -> Self {
        let annotations = wire.metadata.annotations.unwrap_or_default();
        Self {
            service_account: wire.spec.service_account_name,
            control_plane: annotations.control_plane,
            app_id: annotations.app_id,
            config: annotations.config,
        }
    }
}

/// A Configuration: the trust domain of the apps that name it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WireConfiguration")]
pub(super) struct Configuration {
    /// Empty when it sets none.
    pub(super) trust_domain: String,
}

#[derive(Deserialize)]
struct WireConfiguration {
    #[serde(default)]
    spec: Option<WireSettings>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireSettings {
    access_control: Option<WireAccess>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireAccess {
    trust_domain: Option<String>,
}

impl From<WireConfiguration> for Configuration {
    fn from(wire: WireConfiguration) -> Self {
        let access = wire.spec.and_then(|spec| spec.access_control);
        let trust_domain = access.and_then(|access| access.trust_domain);
        Self {
            trust_domain: trust_domain.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(annotations: &serde_json::Value) -> Pod {
        let wire = json!({
            "metadata": {"name": "p", "annotations": annotations},
            "spec": {"serviceAccountName": "sa", "containers": []},
            "status": {"phase": "Running"},
        });
        serde_json::from_value(wire).unwrap()
    }

    #[test]
    fn a_pod_is_who_its_annotations_say() {
        let service = |id: &str| Ok(Who::Service(id.into()));
        let app = |id: &str| Ok(Who::App(id.into()));
        let denied = |text: &str| Err(text.to_owned());
        for (annotations, namespace, expected) in [
            (json!({}), "shop", app("p")),
            (json!(null), "shop", app("p")),
            (json!({"dapr.io/app-id": "cart"}), "shop", app("cart")),
            (json!({"dapr.io/app-id": "cart"}), "dapr", app("cart")),
            (
                json!({"dapr.io/control-plane": "operator"}),
                "dapr",
                service("dapr-operator"),
            ),
            (
                json!({"dapr.io/control-plane": "sentry"}),
                "dapr",
                service("dapr-sentry"),
            ),
            (
                json!({"dapr.io/control-plane": "operator"}),
                "shop",
                denied("control plane service in namespace 'shop' is not allowed"),
            ),
            (
                json!({"dapr.io/control-plane": "dashboard"}),
                "dapr",
                denied("unknown control plane service 'p'"),
            ),
            (
                json!({"dapr.io/control-plane": "injector", "dapr.io/app-id": "cart"}),
                "dapr",
                denied("control plane service 'p' cannot have annotation 'dapr.io/app-id'"),
            ),
        ] {
            let who = pod(&annotations).who(namespace, "p", "dapr");
            assert_eq!(who, expected, "{annotations} in {namespace}");
        }
    }

    #[test]
    fn only_what_decides_is_kept() {
        let kept = pod(&json!({"dapr.io/config": "c", "other": "x"}));
        assert_eq!(kept.service_account, "sa");
        assert_eq!(kept.config.as_deref(), Some("c"));
        for (spec, domain) in [
            (json!({"accessControl": {"trustDomain": "td"}}), "td"),
            (json!({"accessControl": {}}), ""),
            (json!({"accessControl": null, "mtls": {}}), ""),
            (json!(null), ""),
        ] {
            let read: Configuration = serde_json::from_value(json!({"spec": spec})).unwrap();
            assert_eq!(read.trust_domain, domain);
        }
    }
}
