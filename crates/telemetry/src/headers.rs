//! Trace context in the headers of HTTP and the metadata of gRPC.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{TraceContext, TraceState};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub const GRPC_TRACE_BIN: HeaderName = HeaderName::from_static("grpc-trace-bin");

/// Clients write base64 with padding and without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an HTTP request says it belongs to.
pub fn from_http(headers: &HeaderMap) -> Option<TraceContext> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut context = TraceContext::parse(text)?;
    let states = headers.get_all(TRACESTATE);
    context.state = TraceState::parse(states.iter().filter_map(|value| value.to_str().ok()));
    Some(context)
}

/// What a gRPC request says it belongs to: `grpc-trace-bin`, else `traceparent`.
pub fn from_grpc(metadata: &HeaderMap) -> Option<TraceContext> {
    let binary = metadata.get(GRPC_TRACE_BIN).and_then(from_base64);
    binary.or_else(|| from_http(metadata))
}

fn from_base64(value: &HeaderValue) -> Option<TraceContext> {
    // A proxy may have joined several values; the first one counts.
    let text = value.as_bytes().split(|b| *b == b',').next()?;
    let mut bytes = [0; 64];
    let length = LENIENT.decode_slice(text, &mut bytes).ok()?;
    TraceContext::from_binary(&bytes[..length])
}

/// Writes `traceparent`, and `tracestate` when there is one, over what is there.
pub fn to_http(context: &TraceContext, headers: &mut HeaderMap) {
    headers.insert(TRACEPARENT, traceparent(context));
    match tracestate(context) {
        Some(state) => drop(headers.insert(TRACESTATE, state)),
        None => drop(headers.remove(TRACESTATE)),
    }
}

/// Writes `grpc-trace-bin` and `traceparent` over what is there. Upstream does
/// not hand on the state over gRPC.
pub fn to_grpc(context: &TraceContext, metadata: &mut HeaderMap) {
    metadata.insert(GRPC_TRACE_BIN, grpc_trace_bin(context));
    metadata.insert(TRACEPARENT, traceparent(context));
}

/// The value of `traceparent`.
pub fn traceparent(context: &TraceContext) -> HeaderValue {
    value(&context.text())
}

/// The value of `tracestate`.
pub fn tracestate(context: &TraceContext) -> Option<HeaderValue> {
    context
        .state
        .as_ref()
        .map(|state| value(state.as_str().as_bytes()))
}

/// The value of `grpc-trace-bin` as it is on the wire, in base64.
pub fn grpc_trace_bin(context: &TraceContext) -> HeaderValue {
    value(STANDARD_NO_PAD.encode(context.to_binary()).as_bytes())
}

/// All of these texts are visible ASCII.
fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in pairs {
            out.append(*name, HeaderValue::from_str(value).unwrap());
        }
        out
    }

    fn binary(text: &str) -> String {
        LENIENT.encode(TraceContext::parse(text).unwrap().to_binary())
    }

    #[test]
    fn http_reads_traceparent_and_state() {
        for (pairs, expected) in [
            (&[("traceparent", PARENT)][..], Some("")),
            (
                &[
                    ("traceparent", PARENT),
                    ("tracestate", "a=1"),
                    ("tracestate", "b=2"),
                ],
                Some("a=1,b=2"),
            ),
            // A broken state does not cost the parent.
            (&[("traceparent", PARENT), ("tracestate", "a")], Some("")),
            (&[("traceparent", PARENT), ("traceparent", OTHER)], Some("")),
            (&[("traceparent", "x"), ("tracestate", "a=1")], None),
            (&[("tracestate", "a=1")], None),
            (&[], None),
        ] {
            let found = from_http(&headers(pairs));
            assert_eq!(
                found.as_ref().map(TraceContext::traceparent),
                expected.map(|_| PARENT.to_owned()),
                "{pairs:?}"
            );
            let state = found.and_then(|c| c.state);
            assert_eq!(
                state.as_ref().map_or("", TraceState::as_str),
                expected.unwrap_or(""),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn grpc_prefers_the_binary_form() {
        let padded = binary(PARENT);
        let bare = padded.trim_end_matches('=').to_owned();
        assert_ne!(padded, bare);
        for (pairs, expected) in [
            (
                vec![
                    ("grpc-trace-bin", padded.clone()),
                    ("traceparent", OTHER.into()),
                ],
                Some(PARENT),
            ),
            (vec![("grpc-trace-bin", bare.clone())], Some(PARENT)),
            (
                vec![("grpc-trace-bin", format!("{bare},{}", binary(OTHER)))],
                Some(PARENT),
            ),
            (
                vec![
                    ("grpc-trace-bin", "!".into()),
                    ("traceparent", OTHER.into()),
                ],
                Some(OTHER),
            ),
            (
                vec![
                    ("grpc-trace-bin", "A".repeat(1000)),
                    ("traceparent", OTHER.into()),
                ],
                Some(OTHER),
            ),
            (vec![("grpc-trace-bin", String::new())], None),
            (vec![], None),
        ] {
            let given: Vec<_> = pairs.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let found = from_grpc(&headers(&given)).map(|c| c.traceparent());
            assert_eq!(found.as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn writing_replaces_what_was_there() {
        let context =
            from_http(&headers(&[("traceparent", PARENT), ("tracestate", "a=1")])).unwrap();
        let mut out = headers(&[
            ("traceparent", OTHER),
            ("tracestate", "b=2"),
            ("tracestate", "c=3"),
        ]);
        to_http(&context, &mut out);
        assert_eq!(
            out,
            headers(&[("traceparent", PARENT), ("tracestate", "a=1")])
        );
        to_http(&TraceContext::parse(OTHER).unwrap(), &mut out);
        assert_eq!(out, headers(&[("traceparent", OTHER)]));

        let mut out = headers(&[("grpc-trace-bin", "x"), ("other", "1")]);
        to_grpc(&context, &mut out);
        let bare = binary(PARENT).trim_end_matches('=').to_owned();
        assert_eq!(
            out,
            headers(&[
                ("grpc-trace-bin", &bare),
                ("other", "1"),
                ("traceparent", PARENT)
            ])
        );
        assert_eq!(from_grpc(&out).unwrap().traceparent(), PARENT);
    }

    proptest! {
        #[test]
        fn no_header_panics(parent in "[ -~]{0,70}", state in "[ -~]{0,70}", binary in "[ -~]{0,90}") {
            let all = headers(&[("traceparent", &parent), ("tracestate", &state), ("grpc-trace-bin", &binary)]);
            let _ = (from_http(&all), from_grpc(&all));
        }
    }
}
