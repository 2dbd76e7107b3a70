//! `nameresolution.nameformat`: an address is the app id put into a text.

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, JsonSchema, Result};
use serde::Deserialize;

const PLACEHOLDER: &str = "{appid}";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    /// The address, port included; every `{appid}` in it is replaced.
    pub(crate) format: String,
}

pub(crate) struct NameFormat(String);

impl Resolver for NameFormat {
    type Config = Config;

    async fn open(config: Config, _: Env, _: Instance) -> Result<Self> {
        if config.format.is_empty() {
            return Err(Error::config("format is required in metadata"));
        }
        if !config.format.contains(PLACEHOLDER) {
            return Err(Error::config("format must contain {appid} placeholder"));
        }
        Ok(Self(config.format))
    }
}

#[async_trait]
impl NameResolver for NameFormat {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        if req.id.is_empty() {
            return Err(Error::invalid("empty ID not allowed"));
        }
        Ok(vec![self.0.replace(PLACEHOLDER, &req.id)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::resolved;

    #[tokio::test]
    async fn the_app_id_goes_into_the_format() {
        for (format, id, expected) in [
            ("svc-{appid}.local:50002", "a", "svc-a.local:50002"),
            ("{appid}.{appid}:1", "a", "a.a:1"),
            ("{appid}:1", "", "error: empty ID not allowed"),
            ("", "a", "error: format is required in metadata"),
            (
                "{AppID}",
                "a",
                "error: format must contain {appid} placeholder",
            ),
        ] {
            let configuration = serde_json::json!({ "Format": format });
            let got = resolved("NameFormat", configuration, id).await;
            assert_eq!(got, expected, "{format}");
        }
    }
}
