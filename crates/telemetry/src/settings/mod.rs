//! What a Configuration and the environment say about tracing.

mod environment;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use resources::configuration::{Otel, Tracing};
use resources::parse_go_duration;

use crate::Sampler;

/// What upstream takes for a rate that is empty or no number.
const DEFAULT_RATE: f64 = 0.0001;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const PATH: &str = "/v1/traces";

/// How to trace, checked.
#[derive(Clone)]
pub struct Settings {
    pub sampler: Sampler,
    /// Nothing is configured: no spans are made, and contexts are handed on as they come.
    pub passive: bool,
    /// A log line per span.
    pub stdout: bool,
    pub zipkin: Option<Uri>,
    pub otlp: Option<Otlp>,
    pub resource: Resource,
}

/// Without Zipkin's URL, which may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("sampler", &self.sampler)
            .field("passive", &self.passive)
            .field("stdout", &self.stdout)
            .field("zipkin", &self.zipkin.as_ref().and_then(Uri::host))
            .field("otlp", &self.otlp)
            .field("resource", &self.resource)
            .finish()
    }
}

/// A collector of OpenTelemetry. Its headers are marked as sensitive.
#[derive(Clone, Debug)]
pub struct Otlp {
    pub transport: Transport,
    pub url: Uri,
    pub headers: HeaderMap,
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Protobuf in a POST.
    Http,
    Grpc,
}

/// Who records the spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub service_name: String,
    /// Without the service's name.
    pub attributes: Vec<(String, String)>,
}

impl Settings {
    /// Settles how to trace; `None` when tracing is off. The error is the
    /// message of the fatal line.
    ///
    /// `env` reads an environment variable.
    pub fn read(
        tracing: &Tracing,
        env: impl Fn(&str) -> Option<String>,
        app_id: &str,
    ) -> Result<Option<Self>, String> {
        let mut rate = tracing.sampling_rate.as_str();
        let mut otel = tracing.otel.clone().unwrap_or_default();
        if otel.endpoint_address.is_empty() {
            let found = environment::otel(&mut otel, &env);
            found.map_err(|e| format!("error setting tracing spec from env: {e}"))?;
            if rate.is_empty() && !otel.endpoint_address.is_empty() {
                rate = "1";
            }
        }
        let no_rate = rate.is_empty();
        let rate = rate.parse().unwrap_or(DEFAULT_RATE);
        let failed = |e| format!("failed to setup tracing: {e}");
        let zipkin = tracing.zipkin.as_ref().map(|z| z.endpoint_address.as_str());
        let mut settings = Self {
            sampler: Sampler::new(rate),
            passive: false,
            stdout: tracing.stdout,
            zipkin: zipkin
                .filter(|url| !url.is_empty())
                .map(zipkin_url)
                .transpose()
                .map_err(failed)?,
            otlp: Otlp::new(&otel).map_err(failed)?,
            resource: environment::resource(&env, app_id),
        };
        let exports = settings.stdout || settings.zipkin.is_some() || settings.otlp.is_some();
        settings.passive = no_rate && !exports;
        Ok((rate != 0.0).then_some(settings))
    }
}

impl Otlp {
    /// `None` without an endpoint or a protocol.
    fn new(otel: &Otel) -> Result<Option<Self>, String> {
        if otel.endpoint_address.is_empty() || otel.protocol.is_empty() {
            return Ok(None);
        }
        let transport = match otel.protocol.as_str() {
            "http" => Transport::Http,
            "grpc" => Transport::Grpc,
            other => {
                return Err(format!(
                    "otel.protocol {other:?} is not supported; use http or grpc"
                ));
            }
        };
        let timeout = match otel.timeout.as_str() {
            "" => DEFAULT_TIMEOUT,
            text => parse_go_duration(text)
                .ok_or_else(|| format!("otel.timeout {text:?} is no duration; write 10s"))?,
        };
        let mut headers = HeaderMap::new();
        for header in &otel.headers.0 {
            add_header(&mut headers, &header.name, header.value.as_str())
                .map_err(|e| format!("otel.headers: {e}"))?;
        }
        Ok(Some(Self {
            transport,
            url: otlp_url(otel, transport)?,
            headers,
            timeout: if timeout.is_zero() {
                DEFAULT_TIMEOUT
            } else {
                timeout
            },
        }))
    }
}

/// The endpoint is a host and a port; a scheme before it is left out, and does
/// not decide about TLS. A path behind it is where `/v1/traces` begins.
fn otlp_url(otel: &Otel, transport: Transport) -> Result<Uri, String> {
    let scheme = if otel.is_secure.unwrap_or(true) {
        "https"
    } else {
        "http"
    };
    let address = without_scheme(&otel.endpoint_address).trim_end_matches('/');
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let path = match transport {
        Transport::Http => format!("{}{PATH}", path.strip_suffix(PATH).unwrap_or(path)),
        Transport::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned(),
    };
    let url = Uri::try_from(format!("{scheme}://{host}{path}"));
    let named = url.ok().filter(|url| !url.host().unwrap_or("").is_empty());
    named.ok_or_else(|| "otel.endpointAddress is no address; write host:port".to_owned())
}

fn without_scheme(address: &str) -> &str {
    let cut = address.strip_prefix("http://");
    cut.or_else(|| address.strip_prefix("https://"))
        .unwrap_or(address)
}

fn zipkin_url(address: &str) -> Result<Uri, String> {
    let url = Uri::try_from(address).ok();
    let usable = url.filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|h| !h.is_empty())
    });
    usable.ok_or_else(|| {
        "zipkin.endpointAddress is no URL; write http://host:9411/api/v2/spans".to_owned()
    })
}

/// The error names the header and never shows its value.
fn add_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let key =
        HeaderName::try_from(name.trim()).map_err(|_| format!("{name:?} is no header name"))?;
    let mut value = HeaderValue::try_from(value.trim())
        .map_err(|_| format!("the value of {key} cannot be a header"))?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}
