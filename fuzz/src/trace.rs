//! The headers that carry a trace, and the baggage beside them.

use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::baggage::{BAGGAGE, Baggage};
use telemetry::{TraceContext, headers};

/// Headers, one `name: value` per line; and a trace in its binary form.
pub fn trace(data: &[u8]) {
    if let Some(context) = TraceContext::from_binary(data) {
        valid(&context);
        let bytes = context.to_binary();
        let known = data.len().min(27);
        assert_eq!(bytes[..known], data[..known], "the ids stay");
    }
    let mut map = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    for context in [headers::from_http(&map), headers::from_grpc(&map)] {
        context.iter().for_each(valid);
    }
    if let Ok(Some(baggage)) = Baggage::read(&map) {
        carried(&baggage, &map);
    }
}

/// A context that was taken is handed on as it is.
fn valid(context: &TraceContext) {
    assert_ne!(context.trace_id, [0; 16]);
    assert_ne!(context.span_id, [0; 8]);
    assert!(context.flags <= 3);
    assert_eq!(context.is_sampled(), context.flags & 1 == 1);

    let mut http = HeaderMap::new();
    headers::to_http(context, &mut http);
    assert_eq!(headers::from_http(&http).as_ref(), Some(context));
    let stateless = TraceContext {
        state: None,
        ..context.clone()
    };
    let mut grpc = HeaderMap::new();
    headers::to_grpc(context, &mut grpc);
    assert_eq!(headers::from_grpc(&grpc).as_ref(), Some(&stateless));
    grpc.remove(headers::GRPC_TRACE_BIN);
    assert_eq!(headers::from_grpc(&grpc).as_ref(), Some(&stateless));
    if let Some(state) = &context.state {
        assert!((1..=512).contains(&state.as_str().len()));
    }
}

fn carried(baggage: &Baggage, map: &HeaderMap) {
    let values = map.get_all(BAGGAGE).iter().map(HeaderValue::as_bytes);
    let joined = values.collect::<Vec<_>>().join(&b","[..]);
    assert_eq!(baggage.raw().as_bytes(), joined, "it stays as it came");
    let normal = baggage.normalised();
    HeaderValue::from_str(&normal).expect("a header can hold it");
    // Escaping makes it longer, so that it may be more than is taken.
    if normal.len() <= 4096 {
        let again = Baggage::parse(normal.clone());
        let again = again.expect("the normal form is baggage");
        let again = again.expect("the normal form is not empty");
        assert_eq!(again.normalised(), normal, "the normal form is final");
    }
}
