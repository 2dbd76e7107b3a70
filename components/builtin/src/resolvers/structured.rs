//! `nameresolution.structuredformat`: addresses that are written down, in the
//! configuration or in a file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, ErrorKind, JsonSchema, Result};
use serde::Deserialize;

const LARGEST: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    /// `json` or `yaml` for a text, `jsonFile` or `yamlFile` for a file.
    pub(crate) structured_type: String,
    /// The text: a map `appInstances` from app ids to lists of instances, each
    /// with `port` and one of `domain`, `ipv4` and `ipv6`.
    pub(crate) string_value: String,
    /// The path of a file with the same.
    pub(crate) file_path: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "appInstances")]
    apps: BTreeMap<String, Vec<Listed>>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Listed {
    domain: String,
    ipv4: String,
    ipv6: String,
    port: u16,
}

#[derive(Debug)]
pub(crate) struct Structured(BTreeMap<String, Vec<String>>);

impl Resolver for Structured {
    type Config = Config;

    async fn open(config: Config, _: Env, _: Instance) -> Result<Self> {
        let invalid = |cause: String| Error::config(format!("appInstances: {cause}"));
        let kind = config.structured_type.to_ascii_lowercase();
        let text = match kind.as_str() {
            "json" | "jsonstring" | "yaml" | "yamlstring" => config.string_value,
            "jsonfile" | "yamlfile" => read(&config.file_path).await?,
            _ => {
                let message = "structuredType must be one of json, yaml, jsonFile, yamlFile";
                return Err(Error::config(message));
            }
        };
        if text.trim().is_empty() {
            let message =
                "stringValue or filePath is missing; set the one that structuredType names";
            return Err(Error::config(message));
        }
        let document: Document = if kind.starts_with("json") {
            serde_json::from_str(&text).map_err(|e| invalid(e.to_string()))?
        } else {
            serde_saphyr::from_str(&text).map_err(|e| invalid(e.to_string()))?
        };
        let mut apps = BTreeMap::new();
        for (id, instances) in document.apps {
            if id.is_empty() {
                return Err(invalid("an app id is empty".into()));
            }
            let addresses: Result<Vec<_>, _> = instances.iter().map(Listed::address).collect();
            let addresses = addresses.map_err(|e| invalid(format!("app id {id:?}: {e}")))?;
            apps.insert(id, addresses);
        }
        Ok(Self(apps))
    }
}

#[async_trait]
impl NameResolver for Structured {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        if req.id.is_empty() {
            return Err(Error::invalid("empty ID not allowed"));
        }
        let found = self.0.get(&req.id).filter(|found| !found.is_empty());
        found.cloned().ok_or_else(|| {
            let message = format!("no address of app id {:?} in appInstances", req.id);
            Error::new(ErrorKind::NotFound, message)
        })
    }

    fn gives_several(&self) -> bool {
        true
    }
}

impl Listed {
    fn address(&self) -> Result<String, String> {
        if self.port == 0 {
            return Err("port is missing; set it from 1 to 65535".into());
        }
        if !self.domain.is_empty() {
            return Ok(format!("{}:{}", self.domain, self.port));
        }
        if !self.ipv4.is_empty() {
            let ip: Result<Ipv4Addr, _> = self.ipv4.parse();
            let ip = ip.map_err(|_| format!("ipv4 {:?} is no IPv4 address", self.ipv4))?;
            return Ok(format!("{ip}:{}", self.port));
        }
        if !self.ipv6.is_empty() {
            let ip: Result<Ipv6Addr, _> = self.ipv6.trim_matches(['[', ']']).parse();
            let ip = ip.map_err(|_| format!("ipv6 {:?} is no IPv6 address", self.ipv6))?;
            return Ok(format!("[{ip}]:{}", self.port));
        }
        Err("an instance has no address; set domain, ipv4 or ipv6".into())
    }
}

async fn read(path: &str) -> Result<String> {
    let failed = |cause: String| Error::config(format!("filePath {path:?}: {cause}"));
    let size = tokio::fs::metadata(path).await;
    let size = size.map_err(|e| failed(e.to_string()))?.len();
    if size > LARGEST {
        return Err(failed(format!(
            "the file has more than {} KiB",
            LARGEST >> 10
        )));
    }
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::resolved;

    const JSON: &str = r#"{"appInstances": {"a": [{"ipv4": "10.0.0.1", "port": 1},
        {"domain": "x.org", "ipv4": "10.0.0.2", "port": 2}], "b": [{"ipv6": "::1", "port": 3}], "none": []}}"#;
    const YAML: &str = "appInstances:\n  a:\n    - domain: y.org\n      port: 80\n";

    async fn check(kind: &str, text: &str, id: &str, expected: &str) {
        let configuration = json!({ "structuredType": kind, "stringValue": text });
        let got = resolved("structuredformat", configuration, id).await;
        assert!(got.starts_with(expected), "{text}: {got}");
    }

    #[tokio::test]
    async fn texts_list_the_instances_of_apps() {
        check("json", JSON, "a", "10.0.0.1:1,x.org:2").await;
        check("jsonString", JSON, "b", "[::1]:3").await;
        check("YAML", YAML, "a", "y.org:80").await;
        for id in ["c", "none"] {
            check("json", JSON, id, "error: no address of app id").await;
        }
        check("json", JSON, "", "error: empty ID not allowed").await;
    }

    #[tokio::test]
    async fn files_list_them_too() {
        let folder = tempfile::tempdir().unwrap();
        let check = async |kind: &str, text: &str, expected: &str| {
            let path = folder.path().join("apps");
            std::fs::write(&path, text).unwrap();
            let configuration = json!({ "structuredType": kind, "filePath": path });
            let got = resolved("structuredformat", configuration, "a").await;
            assert!(got.contains(expected), "{got}");
        };
        check("jsonFile", JSON, "10.0.0.1:1").await;
        check("yamlFile", YAML, "y.org:80").await;
        check("yamlFile", &" ".repeat(2 << 20), "more than 1024 KiB").await;
        let none = json!({ "structuredType": "jsonFile", "filePath": "/none" });
        let got = resolved("structuredformat", none, "a").await;
        assert!(got.starts_with("error: filePath \"/none\": "), "{got}");
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        check("xml", "", "a", "error: structuredType must be").await;
        check(
            "json",
            " ",
            "a",
            "error: stringValue or filePath is missing",
        )
        .await;
        check("json", "{", "a", "error: appInstances: ").await;
        let one = |instance: &str| format!(r#"{{"appInstances": {{"a": [{instance}]}}}}"#);
        for (instance, expected) in [
            (r#"{"ipv4": "10.0.0.1"}"#, "app id \"a\": port is missing"),
            (r#"{"port": 1}"#, "app id \"a\": an instance has no address"),
            (r#"{"ipv4": "x", "port": 1}"#, "app id \"a\": ipv4 \"x\""),
            (r#"{"ipv6": "x", "port": 1}"#, "app id \"a\": ipv6 \"x\""),
        ] {
            let expected = format!("error: appInstances: {expected}");
            check("json", &one(instance), "a", &expected).await;
        }
        check(
            "json",
            &one(r#"{"ipv4": "10.0.0.1", "port": 70000}"#),
            "a",
            "error: appInstances: ",
        )
        .await;
    }
}
