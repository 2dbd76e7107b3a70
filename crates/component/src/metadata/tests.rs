use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Node,
    Cluster,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(alias = "url", alias = "address", alias = "zone")]
    host: String,
    #[serde(alias = "timeoutInSeconds")]
    timeout: Seconds,
    dial_timeout: Millis,
    max_idle: Option<u32>,
    retries: i8,
    ratio: f64,
    verbose: bool,
    strict: StrictBool,
    limit: ByteSize,
    password: Sensitive,
    topics: Vec<String>,
    pauses: Vec<Seconds>,
    mode: Mode,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "localhost".into(),
            timeout: Seconds(Duration::from_secs(20)),
            dial_timeout: Millis(Some(Duration::from_millis(5))),
            max_idle: None,
            retries: 3,
            ratio: 0.5,
            verbose: false,
            strict: StrictBool(false),
            limit: ByteSize(1),
            password: Sensitive::default(),
            topics: Vec::new(),
            pauses: Vec::new(),
            mode: Mode::Node,
        }
    }
}

fn given(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().copied().collect()
}

#[track_caller]
fn check(pairs: &[(&str, &str)], change: impl FnOnce(&mut Config)) {
    let mut expected = Config::default();
    change(&mut expected);
    assert_eq!(
        decode::<Config>(&given(pairs)).unwrap(),
        expected,
        "{pairs:?}"
    );
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], message: &str) {
    let error = decode::<Config>(&given(pairs)).unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::InvalidConfig);
    assert_eq!(error.to_string(), message, "{pairs:?}");
}

#[test]
fn values_are_read_leniently() {
    check(&[], |_| {});
    check(&[("HOST", "a"), ("unknown", "b")], |c| c.host = "a".into());
    check(&[("timeout", "1m30s")], |c| {
        c.timeout = Seconds(Duration::from_secs(90))
    });
    check(&[("timeout", "7")], |c| {
        c.timeout = Seconds(Duration::from_secs(7))
    });
    check(&[("timeout", "-7")], |c| {
        c.timeout = Seconds(Duration::ZERO)
    });
    check(&[("timeout", "")], |c| c.timeout = Seconds(Duration::ZERO));
    check(&[("dialTimeout", "7")], |c| {
        c.dial_timeout = Millis(Some(Duration::from_millis(7)))
    });
    check(&[("dialTimeout", "-1")], |c| c.dial_timeout = Millis(None));
    check(&[("maxIdle", "")], |c| c.max_idle = None);
    check(&[("maxIdle", " 8 ")], |c| c.max_idle = Some(8));
    check(&[("retries", "-4")], |c| c.retries = -4);
    check(&[("retries", "")], |c| c.retries = 0);
    check(&[("ratio", "2")], |c| c.ratio = 2.0);
    for text in ["y", "YES", "true", "T", "on", " 1 "] {
        check(&[("verbose", text)], |c| c.verbose = true);
    }
    for text in ["", "no", "2", "enabled"] {
        check(&[("verbose", text)], |c| c.verbose = false);
    }
    check(&[("strict", "True")], |c| c.strict = StrictBool(true));
    check(&[("limit", "5Mi")], |c| c.limit = ByteSize(5 << 20));
    check(&[("password", "x,y")], |c| {
        c.password = Sensitive("x,y".into())
    });
    check(&[("topics", "a, b,")], |c| {
        c.topics = vec!["a".into(), " b".into(), String::new()]
    });
    check(&[("topics", "")], |c| c.topics = Vec::new());
    check(&[("pauses", "1s,2")], |c| {
        c.pauses = [1, 2].map(|s| Seconds(Duration::from_secs(s))).into()
    });
    check(&[("mode", "Cluster")], |c| c.mode = Mode::Cluster);
}

#[test]
fn the_canonical_name_beats_its_aliases() {
    let host = |name: &'static str| move |c: &mut Config| c.host = name.into();
    check(&[("URL", "u")], host("u"));
    check(&[("url", "u"), ("host", "h")], host("h"));
    check(&[("zone", "z"), ("address", "a")], host("a"));
    check(
        &[("zone", "z"), ("HOST", "h"), ("address", "a"), ("url", "u")],
        host("h"),
    );
    check(
        &[
            ("address", "a"),
            ("host", "h"),
            ("timeoutinseconds", "5"),
            ("timeout", "6"),
        ],
        |c| {
            c.host = "h".into();
            c.timeout = Seconds(Duration::from_secs(6));
        },
    );
}

#[test]
fn errors_name_the_property_and_the_remedy_but_no_value() {
    refused(
        &[("host", "a"), ("Host", "b")],
        "key host is duplicate: keep one spelling of it",
    );
    refused(
        &[("TIMEOUT", "soon")],
        r#"metadata property "timeout" is invalid: must be a duration such as 1m30s, or a whole number of seconds"#,
    );
    refused(
        &[("retries", "200")],
        r#"metadata property "retries" is invalid: must be a whole number from -128 to 127"#,
    );
    refused(
        &[("ratio", "x")],
        r#"metadata property "ratio" is invalid: must be a number"#,
    );
    refused(
        &[("strict", "yes")],
        r#"metadata property "strict" is invalid: must be true or false"#,
    );
    refused(
        &[("mode", "ring")],
        r#"metadata property "mode" is invalid: must be one of node, cluster"#,
    );
    refused(
        &[("limit", "5 Mi")],
        "metadata property \"limit\" is invalid: value is not a valid quantity: \
         use bytes with an optional suffix, such as 5Mi or 100k",
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Required {
    #[serde(rename = "secretsFile")]
    file: String,
}

#[test]
fn a_missing_property_is_named() {
    let error = decode::<Required>(&given(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"metadata property "secretsFile" is missing; set it"#
    );
}

#[test]
fn a_map_sees_every_property_as_written() {
    let map: BTreeMap<String, String> = decode(&given(&[("A", "1"), ("b", "2")])).unwrap();
    assert_eq!(
        map,
        BTreeMap::from([("A".into(), "1".into()), ("b".into(), "2".into())])
    );
}

#[test]
fn joined_configs_share_the_properties_and_the_schema() {
    let properties = given(&[("secretsfile", "f"), ("Retries", "5"), ("url", "u")]);
    let Join(a, b) = decode::<Join<Config, Required>>(&properties).unwrap();
    assert_eq!((a.host.as_str(), a.retries, b.file.as_str()), ("u", 5, "f"));
    let error = decode::<Join<Config, Required>>(&given(&[("strict", "?"), ("secretsFile", "f")]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"metadata property "strict" is invalid: must be true or false"#
    );

    let schema = serde_json::to_value(schema_for!(Join<Config, Required>)).unwrap();
    assert_eq!(schema["properties"]["timeout"]["default"], "20s");
    assert_eq!(schema["properties"]["password"]["writeOnly"], true);
    assert_eq!(schema["properties"]["secretsFile"]["type"], "string");
    assert_eq!(schema["required"], serde_json::json!(["secretsFile"]));
}

#[test]
fn secrets_are_not_shown() {
    let properties = given(&[("password", "hunter2")]);
    assert_eq!(format!("{properties:?}"), r#"{"password"}"#);
    assert!(!format!("{:?}", decode::<Config>(&properties).unwrap()).contains("hunter2"));
}

#[test]
fn go_durations() {
    for (text, nanos) in [
        ("0", Some(0)),
        ("300ms", Some(300_000_000)),
        ("2h45m", Some(9_900_000_000_000)),
        ("-1.5h", Some(-5_400_000_000_000)),
        (".5s", Some(500_000_000)),
        ("1us", Some(1_000)),
        ("1µs2ns", Some(1_002)),
        ("", None),
        ("-", None),
        ("5", None),
        ("s", None),
        (".s", None),
        ("1.2.3s", None),
        ("1 s", None),
        ("1d", None),
        ("9999999999h", None),
    ] {
        assert_eq!(duration::parse(text), nanos, "{text:?}");
    }
}

#[test]
fn quantities() {
    for (text, bytes) in [
        ("0", Some(0)),
        ("4096", Some(4096)),
        ("100k", Some(100_000)),
        ("5Mi", Some(5 << 20)),
        ("1.5Ki", Some(1536)),
        ("2e3", Some(2000)),
        ("1500m", Some(2)),
        ("1E", Some(1_000_000_000_000_000_000)),
        ("", None),
        ("-1", None),
        ("5mi", None),
        ("1.2.3", None),
        ("99999999999Ei", None),
        ("1e99", None),
    ] {
        assert_eq!(quantity::parse(text), bytes, "{text:?}");
    }
}

#[test]
fn request_metadata() {
    let check = |pairs: &[(&str, &str)], expected: Result<Option<u64>, &str>| {
        let got = ttl(&given(pairs).0)
            .map(|t| t.map(|d| d.as_secs()))
            .map_err(|e| e.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{pairs:?}");
    };
    check(&[], Ok(None));
    check(&[("ttl", "")], Ok(None));
    check(&[("TTLINSECONDS", "5")], Ok(Some(5)));
    check(&[("ttl", "2m"), ("ttlInSeconds", "5")], Ok(Some(120)));
    check(&[("ttl", "-2m")], Ok(Some(0)));
    check(&[("ttl", "9223372036854775807")], Ok(Some(9_223_372_036)));
    check(
        &[("ttl", "x")],
        Err("ttl value must be a valid integer: actual is 'x'"),
    );
    check(
        &[("ttl", "-3")],
        Err("ttl value must be higher than zero: actual is '-3'"),
    );

    let given = |name, text| given(&[(name, text)]).0;
    assert_eq!(priority(&given("priority", "300")).unwrap(), Some(255));
    assert_eq!(priority(&given("priority", "-3")).unwrap(), Some(0));
    assert_eq!(priority(&given("Priority", "3")).unwrap(), None);
    assert!(priority(&given("priority", "x")).is_err());
    assert!(raw_payload(&given("rawPayload", "true")).unwrap());
    assert!(!raw_payload(&given("rawpayload", "true")).unwrap());
    assert!(raw_payload(&given("rawPayload", "yes")).is_err());
}

proptest! {
    #[test]
    fn any_text_decodes_or_is_refused_without_showing_it(text in "\\PC{9,20}") {
        for name in ["timeout", "dialTimeout", "maxIdle", "retries", "ratio", "strict", "limit", "mode"] {
            if let Err(error) = decode::<Config>(&given(&[(name, &text)])) {
                prop_assert!(!error.to_string().contains(&text));
            }
        }
    }

    #[test]
    fn printed_durations_read_back(nanos in 0..i64::MAX) {
        let text = duration::print(Duration::from_nanos(nanos.unsigned_abs()));
        prop_assert_eq!(duration::parse(&text), Some(nanos), "{}", text);
    }
}
