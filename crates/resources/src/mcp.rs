//! MCPServer v1alpha1: a Model Context Protocol server whose tools workflows can call.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::object;
use crate::{NameValue, SecretKeyRef};

object!(
    /// A Model Context Protocol server.
    McpServer, "MCPServer", "v1alpha1", McpServerSpec, scopes: true
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["endpoint"]))]
pub struct McpServerSpec {
    pub endpoint: Endpoint,
    /// A bad object does not stop the sidecar.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_errors: bool,
    /// For people only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middleware: Option<Middleware>,
}

/// Exactly one transport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.streamableHTTP), has(self.sse), has(self.stdio)].filter(x, x).size() == 1",
    "message": ONE_TRANSPORT,
}]))]
pub struct Endpoint {
    #[serde(rename = "streamableHTTP", skip_serializing_if = "Option::is_none")]
    pub streamable_http: Option<Http>,
    /// The older HTTP transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse: Option<Http>,
    /// A sub-process; refused in Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdio: Option<Stdio>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["url"]))]
pub struct Http {
    #[schemars(extend("minLength" = 1))]
    pub url: String,
    /// A date; empty means negotiated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol_version: String,
    /// Per call, a Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<NameValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpAuth {
    /// Empty means `kubernetes`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_store: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}

/// Client credentials; the secret is read at call time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["issuer"]))]
pub struct OAuth2 {
    /// The token endpoint.
    #[schemars(extend("minLength" = 1))]
    pub issuer: String,
    #[serde(rename = "clientID", skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audience: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(rename = "secretKeyRef", skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spiffe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<SpiffeJwt>,
}

/// A header that carries a token of the sidecar's own identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["audience", "header"]))]
pub struct SpiffeJwt {
    #[schemars(extend("minLength" = 1))]
    pub audience: String,
    #[schemars(extend("minLength" = 1))]
    pub header: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header_value_prefix: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["command"]))]
pub struct Stdio {
    #[schemars(extend("minLength" = 1))]
    pub command: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<NameValue>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Catalog {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Name to URL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Owner {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub contact: String,
}

/// Workflows that run around the server's operations, in list order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Middleware {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_call_tool: Vec<MutatingHook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_call_tool: Vec<MutatingHook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_list_tools: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_list_tools: Vec<MutatingHook>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["workflow"]))]
pub struct MutatingHook {
    pub workflow: HookWorkflow,
    /// The hook's output replaces the data.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mutate: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["workflow"]))]
pub struct Hook {
    pub workflow: HookWorkflow,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["workflowName"]))]
pub struct HookWorkflow {
    #[serde(rename = "workflowName")]
    #[schemars(extend("minLength" = 1))]
    pub workflow_name: String,
    /// Empty means the local app.
    #[serde(rename = "appID", skip_serializing_if = "String::is_empty")]
    pub app_id: String,
}

const ONE_TRANSPORT: &str = "exactly one of streamableHTTP, sse, or stdio must be set";

impl McpServer {
    /// What the Kubernetes API server would refuse: the first fault found.
    pub fn validate(&self) -> Result<(), String> {
        let endpoint = &self.spec.endpoint;
        let transports = [
            endpoint.streamable_http.is_some(),
            endpoint.sse.is_some(),
            endpoint.stdio.is_some(),
        ];
        if transports.iter().filter(|t| **t).count() != 1 {
            return Err(format!("spec.endpoint: {ONE_TRANSPORT}"));
        }
        let mut required = Vec::new();
        for (path, http) in [
            ("streamableHTTP", &endpoint.streamable_http),
            ("sse", &endpoint.sse),
        ] {
            let Some(http) = http else { continue };
            required.push((format!("{path}.url"), &http.url));
            let auth = http.auth.as_ref();
            if let Some(oauth2) = auth.and_then(|a| a.oauth2.as_ref()) {
                required.push((format!("{path}.auth.oauth2.issuer"), &oauth2.issuer));
            }
            if let Some(jwt) = auth.and_then(|a| a.spiffe.as_ref()?.jwt.as_ref()) {
                required.push((format!("{path}.auth.spiffe.jwt.audience"), &jwt.audience));
                required.push((format!("{path}.auth.spiffe.jwt.header"), &jwt.header));
            }
        }
        if let Some(stdio) = &endpoint.stdio {
            required.push(("stdio.command".into(), &stdio.command));
        }
        if let Some((path, _)) = required.iter().find(|(_, value)| value.is_empty()) {
            return Err(format!(
                "spec.endpoint.{path}: required, at least 1 character long"
            ));
        }
        self.validate_hooks()
    }

    fn validate_hooks(&self) -> Result<(), String> {
        let Some(m) = &self.spec.middleware else {
            return Ok(());
        };
        let before_list = m.before_list_tools.iter().map(|h| &h.workflow);
        let others = m
            .before_call_tool
            .iter()
            .chain(&m.after_call_tool)
            .chain(&m.after_list_tools);
        match before_list
            .chain(others.map(|h| &h.workflow))
            .any(|w| w.workflow_name.is_empty())
        {
            true => Err("spec.middleware: each workflow needs a workflowName".into()),
            false => Ok(()),
        }
    }

    /// What the sidecar itself refuses, whatever the API server let through.
    pub fn validate_security(&self, kubernetes: bool) -> Result<(), String> {
        let endpoint = &self.spec.endpoint;
        if let Some(stdio) = &endpoint.stdio {
            return stdio.validate_security(kubernetes);
        }
        for http in endpoint.streamable_http.iter().chain(&endpoint.sse) {
            let rest = http.url.split_once("://").and_then(|(scheme, rest)| {
                matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https").then_some(rest)
            });
            let host = rest.map(|r| r.split(['/', '?', '#']).next().unwrap_or_default());
            if host.is_none_or(|h| h.is_empty() || h.starts_with(':') || h.ends_with('@')) {
                return Err("url must be http or https and have a host".into());
            }
        }
        Ok(())
    }
}

impl Stdio {
    fn validate_security(&self, kubernetes: bool) -> Result<(), String> {
        if kubernetes {
            return Err(
                "the stdio transport is not allowed in kubernetes mode; use streamableHTTP".into(),
            );
        }
        if self.command.is_empty() {
            return Err("stdio.command is empty".into());
        }
        if leaves_working_directory(&self.command) {
            return Err(
                "stdio.command may not leave the working directory; use an absolute path".into(),
            );
        }
        match self
            .env
            .iter()
            .find(|e| e.name.is_empty() || e.name.contains(['=', '\n', '\0']))
        {
            Some(e) => Err(format!(
                "stdio.env name {:?} may not be empty or contain '=', newline or NUL",
                e.name
            )),
            None => Ok(()),
        }
    }
}

fn leaves_working_directory(command: &str) -> bool {
    let mut depth = 0;
    !command.starts_with('/')
        && command.split('/').any(|part| {
            depth += match part {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            depth < 0
        })
}
