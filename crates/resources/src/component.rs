//! Component v1alpha1.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::{Auth, object};
use crate::{NameValue, parse_go_duration};

object!(
    /// A state store, message broker, secret store or any other building block's backend.
    Component, "Component", "v1alpha1", ComponentSpec, scopes: true, auth: Auth
);

/// What a component is and how it is set up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["metadata", "type", "version"]))]
pub struct ComponentSpec {
    /// Block and product, for example `state.redis`.
    #[serde(rename = "type")]
    pub component_type: String,
    pub version: String,
    /// An initialisation failure does not stop the sidecar.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_errors: bool,
    /// A Go duration; see [`ComponentSpec::init_timeout`].
    #[serde(rename = "initTimeout", skip_serializing_if = "String::is_empty")]
    pub init_timeout_text: String,
    pub metadata: Vec<NameValue>,
}

impl ComponentSpec {
    /// How long opening may take: 5 s when unset, unparsable or negative.
    pub fn init_timeout(&self) -> Duration {
        parse_go_duration(&self.init_timeout_text).unwrap_or(Duration::from_secs(5))
    }
}

impl Component {
    /// The name of the secret store that the component refers to, if it says one.
    pub fn secret_store(&self) -> Option<&str> {
        self.auth
            .as_ref()
            .map(|a| a.secret_store.as_str())
            .filter(|s| !s.is_empty())
    }

    /// Whether a deny list of `type` or `type/version` entries names this component.
    pub fn is_denied_by(&self, deny: &[String]) -> bool {
        let (kind, version) = (&self.spec.component_type, &self.spec.version);
        if deny.is_empty() {
            return false;
        }
        let versioned = format!("{kind}/{version}");
        kind.is_empty() || version.is_empty() || deny.iter().any(|d| d == kind || *d == versioned)
    }
}
