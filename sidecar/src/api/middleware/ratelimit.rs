//! `middleware.http.ratelimit`: one token bucket per remote address and path.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use component::metadata::Properties;
use component::{Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::api::error::text_response;
use crate::api::http::Peer;

/// Upstream keeps buckets for ever; here full ones are dropped past this number,
/// which changes nothing that a client can see.
const MOST_BUCKETS: usize = 100_000;

pub(crate) struct RateLimit {
    rate: f64,
    size: f64,
    buckets: Mutex<HashMap<(IpAddr, String), Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default = "hundred")]
    max_requests_per_second: f64,
}

fn hundred() -> f64 {
    100.0
}

/// The headers that every answer carries.
pub(crate) struct Limits(HeaderMap);

impl Limits {
    pub(super) fn onto(self, mut response: Response) -> Response {
        response.headers_mut().extend(self.0);
        response
    }
}

impl RateLimit {
    pub(super) fn open(properties: &Properties) -> Result<Self> {
        let config: Config = component::metadata::decode(properties)?;
        let rate = config.max_requests_per_second;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::config(
                "metadata property maxRequestsPerSecond must be a positive value",
            ));
        }
        Ok(Self {
            rate,
            size: rate.max(1.0),
            buckets: Mutex::default(),
        })
    }

    pub(super) fn check(&self, req: &Request) -> std::result::Result<Limits, Box<Response>> {
        let address = remote(req);
        let left = self.take(address, req.uri().path(), Instant::now());
        let headers = self.headers(req, address, left.unwrap_or(0.0));
        match left {
            Some(_) => Ok(headers),
            None => {
                let text = "You have reached maximum request limit.";
                Err(Box::new(
                    headers.onto(text_response(StatusCode::TOO_MANY_REQUESTS, text)),
                ))
            }
        }
    }

    /// The tokens that are left, `None` when there was none to take.
    fn take(&self, address: IpAddr, path: &str, now: Instant) -> Option<f64> {
        let mut buckets = self.buckets.lock();
        let filled = |b: &Bucket| {
            (b.tokens + now.saturating_duration_since(b.at).as_secs_f64() * self.rate)
                .min(self.size)
        };
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, b| filled(b) < self.size);
        }
        let bucket = buckets.entry((address, path.to_owned())).or_insert(Bucket {
            tokens: self.size,
            at: now,
        });
        let tokens = filled(bucket);
        let left = (tokens >= 1.0).then_some(tokens - 1.0);
        *bucket = Bucket {
            tokens: left.unwrap_or(tokens),
            at: now,
        };
        left
    }

    fn headers(&self, req: &Request, address: IpAddr, left: f64) -> Limits {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        add("x-rate-limit-limit", format!("{:.2}", self.rate));
        add("x-rate-limit-duration", "1".into());
        add("x-rate-limit-request-remote-addr", address.to_string());
        add("ratelimit-limit", format!("{:.0}", self.rate));
        add("ratelimit-reset", "1".into());
        add("ratelimit-remaining", format!("{left:.0}"));
        if let Some(forwarded) = req.headers().get("x-forwarded-for") {
            headers.insert("x-rate-limit-request-forwarded-for", forwarded.clone());
        }
        Limits(headers)
    }
}

/// The last X-Forwarded-For entry, else X-Real-IP, else the peer; IPv6 cut to /64.
fn remote(req: &Request) -> IpAddr {
    let header = |name| {
        req.headers()
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let forwarded = header("x-forwarded-for")
        .and_then(|v| v.rsplit(',').next())
        .and_then(|v| v.trim().parse().ok());
    let real = || header("x-real-ip").and_then(|v| v.trim().parse().ok());
    let peer = || {
        req.extensions()
            .get::<Peer>()
            .map(|p| p.0.ip().to_canonical())
    };
    match forwarded.or_else(real).or_else(peer) {
        Some(IpAddr::V6(v6)) => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        Some(v4) => v4,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;

    use super::*;

    fn open(rate: &str) -> Result<RateLimit> {
        RateLimit::open(&Properties(
            [("maxRequestsPerSecond".to_owned(), rate.to_owned())].into(),
        ))
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limit = open("2").unwrap();
        let start = Instant::now();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let took: Vec<bool> = [0, 0, 0, 400, 600, 600, 5000, 5000, 5000]
            .map(|ms| {
                limit
                    .take(address, "/p", start + Duration::from_millis(ms))
                    .is_some()
            })
            .into();
        assert_eq!(
            took,
            [true, true, false, false, true, false, true, true, false]
        );
        assert!(limit.take(address, "/other", start).is_some());
    }

    #[test]
    fn the_remote_address_is_found() {
        for (headers, peer, expected) in [
            (
                &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")][..],
                Some("9.9.9.9"),
                "2.2.2.2",
            ),
            (&[("x-real-ip", "3.3.3.3")], None, "3.3.3.3"),
            (&[], Some("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::"),
            (
                &[("x-forwarded-for", "rubbish")],
                Some("::ffff:9.9.9.9"),
                "9.9.9.9",
            ),
            (&[], None, "0.0.0.0"),
        ] {
            let mut req = Request::new(Body::empty());
            for (name, value) in headers {
                req.headers_mut()
                    .insert(*name, HeaderValue::from_static(value));
            }
            if let Some(peer) = peer {
                let ip: IpAddr = peer.parse().unwrap();
                req.extensions_mut().insert(Peer((ip, 4711).into()));
            }
            assert_eq!(remote(&req).to_string(), expected);
        }
    }

    #[test]
    fn a_rate_that_is_not_positive_is_refused() {
        for bad in ["0", "-1", "NaN"] {
            let error = open(bad).map(|_| ()).unwrap_err();
            assert!(
                error.message.contains("maxRequestsPerSecond"),
                "{}",
                error.message
            );
        }
    }
}
