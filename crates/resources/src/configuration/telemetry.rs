//! Traces and API logging.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::NameValue;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["samplingRate"]))]
pub struct Tracing {
    /// A text from 0 to 1; unparsable or empty means 0.0001; 0 switches tracing off.
    pub sampling_rate: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stdout: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<Zipkin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel: Option<Otel>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["endpointAddress"]))]
pub struct Zipkin {
    pub endpoint_address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["endpointAddress", "isSecure", "protocol"]))]
pub struct Otel {
    /// `http` or `grpc`.
    pub protocol: String,
    pub endpoint_address: String,
    /// TLS; unset counts as true.
    pub is_secure: Option<bool>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// A Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
}

/// Headers as a Configuration object writes them (name and value) or as a
/// standalone file does (`name=value` texts).
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Headers(pub Vec<NameValue>);

impl Headers {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of headers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(Header(header)) = items.next_element()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_seq(Items)
    }
}

struct Header(NameValue);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => {
                let (name, value) = text
                    .split_once('=')
                    .ok_or_else(|| D::Error::custom("a header has no '='"))?;
                Ok(Self(NameValue::plain(name.trim(), value)))
            }
            object => Ok(Self(crate::from_json(object).map_err(D::Error::custom)?)),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Logging {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_logging: Option<ApiLogging>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiLogging {
    /// The flag `--enable-api-logging` beats it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// Log the route's name instead of the path.
    #[serde(rename = "obfuscateURLs", skip_serializing_if = "std::ops::Not::not")]
    pub obfuscate_urls: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub omit_health_checks: bool,
}
