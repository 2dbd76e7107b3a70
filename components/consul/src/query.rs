//! Asking the agent for the healthy instances of an app.

use std::collections::BTreeMap;
use std::fmt::Write;

use component::{Error, Result};
use reqwest::Method;
use serde::Deserialize;

use crate::client::{Client, Request};
use crate::config::QueryOptions;

/// Where an instance is and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The service's own address, else its node's.
    pub(crate) host: String,
    pub(crate) meta: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Node", default)]
    node: Part,
    #[serde(rename = "Service", default)]
    service: Part,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Part {
    #[serde(rename = "Address")]
    address: String,
    #[serde(rename = "Meta")]
    meta: Option<BTreeMap<String, String>>,
}

pub(crate) async fn healthy(
    client: &Client,
    options: &QueryOptions,
    id: &str,
) -> Result<Vec<Found>> {
    let mut request = options.request();
    request.path = ["health", "service", id].map(str::to_owned).into();
    request.query.push(("passing", "1".into()));
    let answer = client.send(Method::GET, request).await?;
    let entries: Vec<Entry> = serde_json::from_slice(&answer.body)
        .map_err(|e| Error::internal(format!("couldn't decode consul's answer: {e}")))?;
    let found = entries.into_iter().map(|Entry { node, service }| Found {
        host: if service.address.is_empty() {
            node.address
        } else {
            service.address
        },
        meta: service.meta.unwrap_or_default(),
    });
    Ok(found.collect())
}

impl QueryOptions {
    /// What upstream asks with when nothing is configured.
    pub(crate) fn cached() -> Self {
        Self {
            use_cache: true,
            ..Self::default()
        }
    }

    /// A request with these options and no path.
    pub(crate) fn request(&self) -> Request {
        let mut query = Vec::new();
        let mut text = |name, value: &str| {
            if !value.is_empty() {
                query.push((name, value.to_owned()));
            }
        };
        text("dc", &self.datacenter);
        text("hash", &self.wait_hash);
        text("near", &self.near);
        text("filter", &self.filter);
        for (key, value) in &self.node_meta {
            text("node-meta", &format!("{key}:{value}"));
        }
        let flags = [
            ("stale", self.allow_stale),
            ("consistent", self.require_consistent),
            ("cached", self.use_cache && !self.require_consistent),
            ("local-only", self.local_only),
            ("connect", self.connect),
            ("merge-central-config", self.merge_central_config),
        ];
        for (name, _) in flags.into_iter().filter(|(_, on)| *on) {
            query.push((name, "true".into()));
        }
        let numbers = [
            ("index", self.wait_index),
            ("relay-factor", self.relay_factor.into()),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, n)| *n > 0) {
            query.push((name, number.to_string()));
        }
        if !self.wait_time.0.is_zero() {
            query.push(("wait", format!("{}ms", self.wait_time.0.as_millis())));
        }
        Request {
            query,
            cache_control: self.cache_control(),
            token: Some(self.token.clone()).filter(|t| !t.0.is_empty()),
            wait: self.wait_time.0,
            ..Request::default()
        }
    }

    fn cache_control(&self) -> Option<String> {
        if !self.use_cache || self.require_consistent {
            return None;
        }
        let mut text = String::new();
        for (name, age) in [
            ("max-age", self.max_age.0),
            ("stale-if-error", self.stale_if_error.0),
        ] {
            if !age.is_zero() {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a String cannot fail.
                let _ = write!(text, "{comma}{name}={}", age.as_secs());
            }
        }
        Some(text).filter(|text| !text.is_empty())
    }
}
