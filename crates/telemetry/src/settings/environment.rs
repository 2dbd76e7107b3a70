//! OpenTelemetry's variables, as upstream reads them.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use resources::NameValue;
use resources::configuration::Otel;

use super::{Resource, add_header, without_scheme};

const EXPORTER: &str = "OTEL_EXPORTER_OTLP_";
const SERVICE_NAME: &str = "service.name";
/// More would only be a mistake.
const MOST_ATTRIBUTES: usize = 128;

/// Fills in the collector that the environment names, if it names one.
pub(super) fn otel(otel: &mut Otel, env: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let read = |name: &str| env(name).filter(|value| !value.is_empty());
    // The form for traces wins over the general one.
    let find = |what: &str| {
        read(&format!("{EXPORTER}TRACES_{what}")).or_else(|| read(&format!("{EXPORTER}{what}")))
    };
    let Some(endpoint) = find("ENDPOINT") else {
        return Ok(());
    };
    without_scheme(&endpoint).clone_into(&mut otel.endpoint_address);
    let http = find("PROTOCOL").is_some_and(|protocol| protocol.starts_with("http"));
    otel.protocol = if http { "http" } else { "grpc" }.to_owned();
    if read(&format!("{EXPORTER}INSECURE")).is_some_and(|value| value == "true") {
        otel.is_secure = Some(false);
    }
    if let Some(list) = find("HEADERS") {
        otel.headers.0 = headers(&list)?;
    }
    if let Some(text) = find("TIMEOUT") {
        let millis: u64 = text
            .parse()
            .map_err(|_| format!("{EXPORTER}TIMEOUT {text:?} is no number of milliseconds"))?;
        otel.timeout = format!("{}ms", Duration::from_millis(millis).as_millis());
    }
    Ok(())
}

fn headers(list: &str) -> Result<Vec<NameValue>, String> {
    let mut headers = Vec::new();
    for item in list.split(',') {
        let Some((name, value)) = decoded_pair(item) else {
            return Err(format!("{EXPORTER}HEADERS: a header without '='"));
        };
        // Checked here as well, since the messages differ.
        add_header(&mut http::HeaderMap::new(), &name, &value)
            .map_err(|e| format!("{EXPORTER}HEADERS: {e}"))?;
        headers.push(NameValue::plain(name, value));
    }
    Ok(headers)
}

/// Who records: the app id, unless a variable has another name.
pub(super) fn resource(env: &impl Fn(&str) -> Option<String>, app_id: &str) -> Resource {
    let list = env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (key, value) in list.split(',').filter_map(decoded_pair) {
        let new = attributes.iter().all(|(other, _)| *other != key);
        if new && !key.is_empty() && attributes.len() < MOST_ATTRIBUTES {
            attributes.push((key, value));
        }
    }
    let at = attributes.iter().position(|(key, _)| key == SERVICE_NAME);
    let listed = at.map(|at| attributes.remove(at).1);
    let named = env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    Resource {
        service_name: named.or(listed).unwrap_or_else(|| app_id.to_owned()),
        attributes,
    }
}

fn decoded_pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8_lossy();
    Some((key.trim().to_owned(), value.into_owned()))
}
