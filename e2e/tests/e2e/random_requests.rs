//! Random paths, queries, headers and bodies at a running sidecar: every
//! request gets an answer, and none of them ends the process.

use e2e::Sidecar;
use http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => proptest::sample::select(vec![
            "v1.0", "v1.0-alpha1", "state", "statestore", "bulk", "transaction", "secrets",
            "vault", "invoke", "method", "metadata", "healthz", "publish", "bindings", "k",
            "actors", "configuration", "", ".", "..", "%2F", "%2e%2e", "a%7C%7Cb",
        ]).prop_map(str::to_owned),
        1 => "[!-~&&[^ #?\"<>{}\\\\^`|]]{0,12}",
        1 => "(%[0-9a-fA-F]{2}){1,4}",
    ];
    let query = prop_oneof![
        3 => Just(String::new()),
        1 => "\\?(metadata\\.[a-zA-Z%]{0,9}|consistency|concurrency|appid|key)=[!-~&&[^ #\"<>{}\\\\^`|]]{0,12}",
        1 => "\\?[!-~&&[^ #\"<>{}\\\\^`|]]{0,20}",
    ];
    (proptest::collection::vec(segment, 0..7), query)
        .prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = proptest::sample::select(vec![
        r#"[{"key":"k","value":{"a":[1,2.5e300,-0,null,true]},"etag":"1"}]"#,
        r#"[{"KEY":"k","Value":"\u0000\ud800","metadata":{"ttlInSeconds":"1"}}]"#,
        r#"{"keys":["a","b"],"parallelism":-1}"#,
        r#"{"operations":[{"operation":"upsert","request":{"key":"k","value":1,"options":{"concurrency":"first-write"}}}],"metadata":{"a":"b"}}"#,
        r#"{"data":{"a":1},"operation":"get","metadata":{}}"#,
    ]);
    let cut = (json, any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(
        |(text, at, byte, kind)| {
            let mut data = text.as_bytes().to_vec();
            let at = at.index(data.len());
            match kind {
                0 => data.truncate(at),
                1 => data[at] = byte,
                _ => {}
            }
            data
        },
    );
    prop_oneof![3 => cut, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

#[tokio::test]
async fn every_request_is_answered_and_the_sidecar_stays() {
    // A case is a round trip, so the budget is smaller than that of a decoder.
    let given = std::env::var("PROPTEST_CASES").ok();
    let cases = given
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2_000_u32);

    let builder = Sidecar::builder("random").file("secrets.json", r#"{"k": "v"}"#);
    let secrets = builder.folder().join("secrets.json");
    let mut sidecar = builder
        .component("statestore", "state.in-memory", &[])
        .component(
            "vault",
            "secretstores.local.file",
            &[("secretsFile", secrets.to_str().unwrap())],
        )
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    let requests = (
        proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
        path(),
        body(),
    );
    let handle = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        runner.run(&requests, |(verb, path, body)| {
            let method = Method::from_bytes(verb.as_bytes()).unwrap();
            if path.ends_with("/shutdown") {
                return Ok(());
            }
            let reply = handle.block_on(http.call(method, &path, body));
            let reply = reply.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
            let text = reply.text();
            prop_assert!(!text.contains("panicked"), "{} {text}", reply.status);
            Ok(())
        })
    };
    let result = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(sidecar.is_running(), "{}\n{result:?}", sidecar.output());
    result.unwrap();
    assert!(
        !sidecar.output().contains("panicked"),
        "{}",
        sidecar.output()
    );
}
