//! WorkflowAccessPolicy v1alpha1: which apps may call this app's workflows and activities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::object;

object!(
    /// An allow list of workflow calls from other apps.
    WorkflowAccessPolicy, "WorkflowAccessPolicy", "v1alpha1", WorkflowAccessPolicySpec, scopes: true
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkflowAccessPolicySpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AccessRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["callers"], "x-kubernetes-validations" = [{
    "rule": "(has(self.workflows) && size(self.workflows) > 0) || (has(self.activities) && size(self.activities) > 0)",
    "message": NO_TARGET,
}]))]
pub struct AccessRule {
    #[schemars(extend("minItems" = 1))]
    pub callers: Vec<Caller>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<WorkflowRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<ActivityRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["appID"]))]
pub struct Caller {
    #[serde(rename = "appID")]
    #[schemars(extend("minLength" = 1))]
    pub app_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name", "operations"]))]
pub struct WorkflowRule {
    /// Exact or a shell glob.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
    #[schemars(schema_with = "operations_schema")]
    pub operations: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct ActivityRule {
    /// Exact or a shell glob.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
}

/// The operations a workflow rule may list.
pub const OPERATIONS: [&str; 8] = [
    "schedule",
    "terminate",
    "raise",
    "pause",
    "resume",
    "purge",
    "get",
    "rerun",
];

const NO_TARGET: &str = "at least one of workflows or activities must contain a rule";

fn operations_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "enum": OPERATIONS },
    })
}

impl WorkflowAccessPolicy {
    /// What the Kubernetes API server would refuse: the first fault found.
    pub fn validate(&self) -> Result<(), String> {
        for (i, rule) in self.spec.rules.iter().enumerate() {
            rule.validate()
                .map_err(|(path, fault)| format!("spec.rules[{i}]{path}: {fault}"))?;
        }
        Ok(())
    }
}

impl AccessRule {
    fn validate(&self) -> Result<(), (String, String)> {
        let fault = |path: String, text: &str| Err((path, text.to_owned()));
        let empty = "should be at least 1 character long";
        if self.callers.is_empty() {
            return fault(".callers".into(), "should have at least 1 item");
        }
        if let Some(i) = self.callers.iter().position(|c| c.app_id.is_empty()) {
            return fault(format!(".callers[{i}].appID"), empty);
        }
        if self.workflows.is_empty() && self.activities.is_empty() {
            return fault(String::new(), NO_TARGET);
        }
        if let Some(i) = self.activities.iter().position(|a| a.name.is_empty()) {
            return fault(format!(".activities[{i}].name"), empty);
        }
        for (i, workflow) in self.workflows.iter().enumerate() {
            if workflow.name.is_empty() {
                return fault(format!(".workflows[{i}].name"), empty);
            }
            let operations = &workflow.operations;
            let path = format!(".workflows[{i}].operations");
            if operations.is_empty() {
                return fault(path, "should have at least 1 item");
            }
            if let Some(o) = operations
                .iter()
                .find(|o| !OPERATIONS.contains(&o.as_str()))
            {
                return fault(
                    path,
                    &format!(
                        "unsupported value {o:?}; supported: {}",
                        OPERATIONS.join(", ")
                    ),
                );
            }
            if let Some((n, o)) = operations
                .iter()
                .enumerate()
                .find(|(n, o)| operations[..*n].contains(o))
            {
                return fault(format!("{path}[{n}]"), &format!("duplicate value {o:?}"));
            }
        }
        Ok(())
    }
}
