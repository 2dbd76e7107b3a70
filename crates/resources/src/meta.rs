//! What all resources share: type, metadata, scopes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part of Kubernetes' object metadata that Dapr reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMeta {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Names the secret store that this object's `secretKeyRef`s are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["secretStore"]))]
pub struct Auth {
    /// Empty means `kubernetes` in a cluster.
    pub secret_store: String,
}

/// A resource as the loaders see it.
pub trait Object: Clone + PartialEq {
    const KIND: &'static str;
    /// Group and version, for example `dapr.io/v1alpha1`.
    const API_VERSION: &'static str;
    /// Whether its `scopes` count.
    const SCOPED: bool;

    fn meta(&self) -> &ObjectMeta;

    /// The app ids that load it; empty means all.
    fn scopes(&self) -> &[String];

    /// How log lines and errors name it: the name, for a component with type and version.
    fn title(&self) -> String {
        self.meta().name.clone()
    }
}

/// Whether a resource's name can be a segment of an API path.
pub fn validate_name(name: &str) -> Result<(), String> {
    let fault = match name {
        "" => "is empty; set metadata.name",
        "." | ".." => "may not be '.' or '..'",
        n if n.contains('/') => "may not contain '/'",
        n if n.contains('%') => "may not contain '%'",
        _ => return Ok(()),
    };
    Err(format!("invalid metadata.name {name:?}: it {fault}"))
}

/// Declares the outer struct of a kind: type fields, metadata, spec and the
/// fields that this kind has beside its spec.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident, $kind:tt, $version:literal, $spec:ty, scopes: $scoped:tt
     $(, $field:ident: $type:ty)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name {
            pub api_version: String,
            pub kind: String,
            pub metadata: $crate::meta::ObjectMeta,
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
            pub spec: $spec,
            /// App ids that load it; empty means all. (A Configuration is chosen by name instead.)
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub scopes: Vec<String>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    api_version: <Self as $crate::meta::Object>::API_VERSION.into(),
                    kind: $kind.into(),
                    metadata: Default::default(),
                    $($field: None,)*
                    spec: Default::default(),
                    scopes: Vec::new(),
                }
            }
        }

        impl $crate::meta::Object for $name {
            const KIND: &'static str = $kind;
            const API_VERSION: &'static str = concat!("dapr.io/", $version);
            const SCOPED: bool = $scoped;

            fn meta(&self) -> &$crate::meta::ObjectMeta {
                &self.metadata
            }

            fn scopes(&self) -> &[String] {
                if Self::SCOPED { &self.scopes } else { &[] }
            }

            $crate::meta::object!(@title $kind);
        }
    };
    (@title "Component") => {
        fn title(&self) -> String {
            format!("{} ({}/{})", self.metadata.name, self.spec.component_type, self.spec.version)
        }
    };
    (@title $kind:tt) => {};
}

pub(crate) use object;
