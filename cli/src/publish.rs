//! `dapr publish`: publishes a message as an application would.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;

use crate::{
    api,
    invoke::{find, payload},
    output::Report,
};

const DEADLINE: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  dapr publish --publish-app-id orders --pubsub pubsub --topic new --data '{\"id\": 1}'
  dapr publish -i orders -p pubsub -t new -d '{\"id\": 1}' -m '{\"ttlInSeconds\": \"10\"}'";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application that publishes
    #[arg(short = 'i', long, value_name = "ID")]
    publish_app_id: String,

    /// The pub/sub component
    #[arg(short, long, value_name = "NAME")]
    pubsub: String,

    /// The topic
    #[arg(short, long, value_name = "NAME")]
    topic: String,

    /// The message, JSON or a whole CloudEvent
    #[arg(short, long, value_name = "JSON")]
    data: Option<String>,

    /// A file with the message
    #[arg(short = 'f', long, value_name = "FILE")]
    data_file: Option<PathBuf>,

    /// Metadata of the message, a JSON object of texts
    #[arg(short, long, value_name = "JSON")]
    metadata: Option<String>,

    /// The folder of the sidecar's unix sockets, when it has them
    #[arg(short, long, value_name = "DIR")]
    unix_domain_socket: Option<String>,
}

pub(crate) async fn execute(args: &Args, report: Report) -> Result<u8> {
    let body = payload(args.data.as_ref(), args.data_file.as_ref())?;
    let metadata: BTreeMap<String, String> = match &args.metadata {
        Some(text) => serde_json::from_str(text)
            .context("--metadata must be a JSON object whose values are texts")?,
        None => BTreeMap::new(),
    };
    send(args, &metadata, body)
        .await
        .with_context(|| format!("error publishing topic {}", args.topic))?;
    report.success("Event published successfully");
    Ok(0)
}

async fn send(args: &Args, metadata: &BTreeMap<String, String>, body: Bytes) -> Result<()> {
    let api = find(&args.publish_app_id, args.unix_domain_socket.as_deref()).await?;
    let path = path(&args.pubsub, &args.topic, metadata);
    let answer = api
        .call(
            Method::POST,
            &path,
            Some(content_type(&body)),
            body,
            DEADLINE,
        )
        .await?;
    if !(200..300).contains(&answer.status.as_u16()) {
        bail!(
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(())
}

fn path(pubsub: &str, topic: &str, metadata: &BTreeMap<String, String>) -> String {
    let query: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("metadata.{}={}", api::escape(key), api::escape(value)))
        .collect();
    let separator = if query.is_empty() { "" } else { "?" };
    // A topic may have slashes, which stay.
    format!(
        "/v1.0/publish/{}/{topic}{separator}{}",
        api::escape(pubsub),
        query.join("&")
    )
}

/// A message that already is a CloudEvent must not be wrapped into another one.
fn content_type(body: &[u8]) -> &'static str {
    let event: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let required = ["id", "source", "specversion", "type", "data"];
    if required.iter().all(|key| event.get(key).is_some()) {
        "application/cloudevents+json"
    } else {
        "application/json"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_event_is_recognized() {
        let check =
            |body: &str, expected: &str| assert_eq!(content_type(body.as_bytes()), expected);
        check(
            r#"{"id":"1","source":"s","specversion":"1.0","type":"t","data":null}"#,
            "application/cloudevents+json",
        );
        check(
            r#"{"id":"1","source":"s","specversion":"1.0","type":"t"}"#,
            "application/json",
        );
        check("plain text", "application/json");
        check("[1]", "application/json");
    }

    #[test]
    fn metadata_goes_into_the_query() {
        let metadata = BTreeMap::from([("ttlInSeconds".to_owned(), "1 0&".to_owned())]);
        assert_eq!(
            path("p", "a/b", &metadata),
            "/v1.0/publish/p/a/b?metadata.ttlInSeconds=1%200%26"
        );
        assert_eq!(path("p", "t", &BTreeMap::new()), "/v1.0/publish/p/t");
    }
}
