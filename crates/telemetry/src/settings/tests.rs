use serde_json::{Value, json};

use super::*;

/// Reads a Configuration's tracing section with these variables.
fn read(tracing: Value, env: &[(&str, &str)]) -> Result<Option<Settings>, String> {
    let tracing: Tracing = serde_json::from_value(tracing).unwrap();
    let find = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read(&tracing, find, "app")
}

#[track_caller]
fn some(tracing: Value, env: &[(&str, &str)]) -> Settings {
    read(tracing, env).unwrap().unwrap()
}

fn otel(more: &Value) -> Value {
    let mut otel = json!({"endpointAddress": "host:4317", "protocol": "grpc"});
    otel.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"samplingRate": "1", "otel": otel})
}

#[test]
fn the_rate_is_a_text_and_zero_switches_tracing_off() {
    for (text, rate) in [
        ("1", Some(1.0)),
        ("0.25", Some(0.25)),
        ("1e-3", Some(0.001)),
        ("", Some(0.0001)),
        ("often", Some(0.0001)),
        ("2", Some(2.0)),
        ("-1", Some(-1.0)),
        ("0", None),
        ("0.0", None),
    ] {
        let settings = read(json!({"samplingRate": text}), &[]).unwrap();
        assert_eq!(
            settings.map(|s| s.sampler),
            rate.map(Sampler::new),
            "{text}"
        );
    }
}

#[test]
fn spans_are_made_once_a_rate_or_an_exporter_is_configured() {
    for (tracing, env, passive) in [
        (json!({}), &[][..], true),
        (json!({"samplingRate": ""}), &[], true),
        (json!({"samplingRate": "0.0001"}), &[], false),
        (json!({"stdout": true}), &[], false),
        (
            json!({"zipkin": {"endpointAddress": "http://z/"}}),
            &[],
            false,
        ),
        (json!({}), &[ENDPOINT], false),
    ] {
        assert_eq!(some(tracing.clone(), env).passive, passive, "{tracing}");
    }
}

#[test]
fn exporters_are_off_unless_they_are_configured() {
    let none = some(json!({"samplingRate": "1"}), &[]);
    assert!(!none.stdout && none.zipkin.is_none() && none.otlp.is_none());
    let all = some(
        json!({
            "samplingRate": "1", "stdout": true,
            "zipkin": {"endpointAddress": "http://z:9411/api/v2/spans"},
            "otel": {"endpointAddress": "host:4318", "protocol": "http"},
        }),
        &[],
    );
    assert!(all.stdout);
    assert_eq!(all.zipkin.unwrap(), "http://z:9411/api/v2/spans");
    assert_eq!(all.otlp.unwrap().url, "https://host:4318/v1/traces");
    let without_protocol = json!({"otel": {"endpointAddress": "host:4318"}});
    assert!(some(without_protocol, &[]).otlp.is_none());
    assert!(
        some(json!({"zipkin": {"endpointAddress": ""}}), &[])
            .zipkin
            .is_none()
    );
}

#[test]
fn the_endpoint_is_a_host_and_a_port() {
    const SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for (address, secure, protocol, expected) in [
        ("h:1", json!(null), "http", "https://h:1/v1/traces"),
        ("h:1", json!(true), "http", "https://h:1/v1/traces"),
        ("h:1", json!(false), "http", "http://h:1/v1/traces"),
        // A scheme is understood, and does not decide about TLS.
        ("http://h:1", json!(true), "http", "https://h:1/v1/traces"),
        ("https://h:1/", json!(false), "http", "http://h:1/v1/traces"),
        (
            "h:1/v1/traces",
            json!(false),
            "http",
            "http://h:1/v1/traces",
        ),
        (
            "h:1/base",
            json!(false),
            "http",
            "http://h:1/base/v1/traces",
        ),
        ("[::1]:1", json!(false), "http", "http://[::1]:1/v1/traces"),
        ("h", json!(false), "http", "http://h/v1/traces"),
        (
            "h:1",
            json!(false),
            "grpc",
            &format!("http://h:1/{SERVICE}"),
        ),
        (
            "https://h:1/x",
            json!(true),
            "grpc",
            &format!("https://h:1/{SERVICE}"),
        ),
    ] {
        let settings = some(
            otel(&json!({"endpointAddress": address, "isSecure": secure, "protocol": protocol})),
            &[],
        );
        assert_eq!(settings.otlp.unwrap().url, expected, "{address}");
    }
}

#[test]
fn headers_and_the_timeout_come_from_the_configuration() {
    let plain = some(otel(&json!({})), &[]).otlp.unwrap();
    assert_eq!(plain.timeout, Duration::from_secs(10));
    assert!(plain.headers.is_empty());
    let full = otel(&json!({"timeout": "1500ms", "headers": ["Api-Key=s3cret=", "b = c"]}));
    let mut full = some(full, &[]);
    full.zipkin = Some(Uri::from_static("http://me:s3cret@z/"));
    assert!(!format!("{full:?}").contains("s3cret"), "{full:?}");
    let full = full.otlp.unwrap();
    assert_eq!(full.timeout, Duration::from_millis(1500));
    assert_eq!(full.headers["api-key"], "s3cret=");
    assert_eq!(full.headers["b"], "c");
    let objects = otel(&json!({"timeout": "0", "headers": [{"name": "a", "value": "b"}]}));
    let objects = some(objects, &[]).otlp.unwrap();
    assert_eq!(
        (&objects.headers["a"], objects.timeout),
        (&"b".parse().unwrap(), DEFAULT_TIMEOUT)
    );
}

#[test]
fn what_cannot_work_ends_the_start_and_shows_no_value() {
    for (tracing, expected) in [
        (
            otel(&json!({"protocol": "thrift"})),
            "failed to setup tracing: otel.protocol \"thrift\" is not supported; use http or grpc",
        ),
        (
            otel(&json!({"timeout": "soon"})),
            "failed to setup tracing: otel.timeout \"soon\" is no duration; write 10s",
        ),
        (
            otel(&json!({"headers": ["a b=secret"]})),
            "failed to setup tracing: otel.headers: \"a b\" is no header name",
        ),
        (
            otel(&json!({"headers": ["a=sec\nret"]})),
            "failed to setup tracing: otel.headers: the value of a cannot be a header",
        ),
        (
            otel(&json!({"endpointAddress": "http://"})),
            "failed to setup tracing: otel.endpointAddress is no address; write host:port",
        ),
        (
            otel(&json!({"endpointAddress": "ho st:1"})),
            "failed to setup tracing: otel.endpointAddress is no address; write host:port",
        ),
        (
            json!({"samplingRate": "0", "zipkin": {"endpointAddress": "z:9411"}}),
            "failed to setup tracing: zipkin.endpointAddress is no URL; write http://host:9411/api/v2/spans",
        ),
    ] {
        assert_eq!(read(tracing, &[]).unwrap_err(), expected);
    }
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318");

#[test]
fn an_endpoint_of_the_environment_switches_tracing_on() {
    for (env, transport, url) in [
        (&[ENDPOINT][..], Transport::Grpc, "https://env:4318"),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
            Transport::Http,
            "https://env:4318/v1/traces",
        ),
        (
            &[
                ENDPOINT,
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:1"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ],
            Transport::Grpc,
            "http://traces:1",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")],
            Transport::Grpc,
            "https://env:4318",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")],
            Transport::Grpc,
            "https://env:4318",
        ),
    ] {
        let settings = some(json!({}), env);
        assert_eq!(settings.sampler, Sampler::new(1.0));
        let otlp = settings.otlp.unwrap();
        assert_eq!(otlp.transport, transport, "{env:?}");
        assert!(
            otlp.url.to_string().starts_with(url),
            "{env:?}: {}",
            otlp.url
        );
    }
}

#[test]
fn the_configuration_beats_the_environment() {
    let rated = some(json!({"samplingRate": "0.5"}), &[ENDPOINT]);
    assert_eq!(rated.sampler, Sampler::new(0.5));
    assert!(rated.otlp.is_some());
    assert!(
        read(json!({"samplingRate": "0"}), &[ENDPOINT])
            .unwrap()
            .is_none()
    );

    let env = [ENDPOINT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "not read")];
    let otlp = some(otel(&json!({})), &env).otlp.unwrap();
    assert_eq!(otlp.url.host(), Some("host"));
    assert_eq!(otlp.timeout, DEFAULT_TIMEOUT);
    // Without an endpoint the other variables mean nothing.
    assert!(some(json!({}), &env[1..]).otlp.is_none());
}

#[test]
fn headers_and_timeouts_of_the_environment_are_checked() {
    let env = [
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_HEADERS", "general=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b%3Dc, d = e"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
    ];
    let otlp = some(json!({}), &env).otlp.unwrap();
    assert_eq!(
        (&otlp.headers["a"], &otlp.headers["d"]),
        (&"b=c".parse().unwrap(), &"e".parse().unwrap())
    );
    assert!(!otlp.headers.contains_key("general"));
    assert_eq!(otlp.timeout, Duration::from_millis(2500));
    for (name, value, reason) in [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "secret",
            "OTEL_EXPORTER_OTLP_HEADERS: a header without '='",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "a=1,",
            "OTEL_EXPORTER_OTLP_HEADERS: a header without '='",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a b=secret",
            "OTEL_EXPORTER_OTLP_HEADERS: \"a b\" is no header name",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "1s",
            "OTEL_EXPORTER_OTLP_TIMEOUT \"1s\" is no number of milliseconds",
        ),
    ] {
        let error = read(json!({}), &[ENDPOINT, (name, value)]).unwrap_err();
        assert_eq!(
            error,
            format!("error setting tracing spec from env: {reason}")
        );
    }
}

#[test]
fn the_resource_is_the_app_unless_the_environment_says_otherwise() {
    const NAME: &str = "OTEL_SERVICE_NAME";
    const LIST: &str = "OTEL_RESOURCE_ATTRIBUTES";
    for (env, name, attributes) in [
        (&[][..], "app", &[][..]),
        (&[(NAME, "")], "app", &[]),
        (&[(NAME, "renamed")], "renamed", &[]),
        (
            &[(LIST, "service.name=listed,a=1")],
            "listed",
            &[("a", "1")],
        ),
        (
            &[(LIST, "service.name=listed"), (NAME, "renamed")],
            "renamed",
            &[],
        ),
        (
            &[(LIST, " a = x%20y ,broken,=1,b=,a=2")],
            "app",
            &[("a", "x y"), ("b", "")],
        ),
    ] {
        let resource = some(json!({}), env).resource;
        let found: Vec<_> = resource
            .attributes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            (resource.service_name.as_str(), &*found),
            (name, attributes),
            "{env:?}"
        );
    }
}
