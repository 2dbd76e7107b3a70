use http_body_util::BodyExt;
use hyper::{Request, StatusCode};

use super::*;

fn answers(options: Options) -> Answers {
    Answers {
        options,
        jwks: Some("{\"keys\":[1]}".into()),
        algorithm: "RS256",
    }
}

/// Status and body of a request: method, path, then headers.
async fn ask(answers: &Answers, request: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let response = answers.answer(&head);
    let status = response.status();
    if status == StatusCode::OK {
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "public, max-age=3600");
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const DISCOVERY: &str = "GET /.well-known/openid-configuration";
const HOST: (&str, &str) = ("host", "localhost:9080");

#[tokio::test]
async fn keys_and_discovery_are_served_with_get_only() {
    let answers = answers(Options::default());
    let (status, body) = ask(&answers, "GET /jwks.json", &[HOST]).await;
    assert_eq!((status, &*body), (StatusCode::OK, "{\"keys\":[1]}"));
    let (status, body) = ask(&answers, DISCOVERY, &[HOST]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        "{\"issuer\":\"http://localhost:9080\",\"jwks_uri\":\"http://localhost:9080/jwks.json\",\
         \"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],\
         \"id_token_signing_alg_values_supported\":[\"RS256\"],\"scopes_supported\":[\"openid\"],\
         \"claims_supported\":[\"sub\",\"iss\",\"aud\",\"exp\",\"iat\",\"nbf\",\"use\"]}"
    );
    for request in ["POST /jwks.json", "HEAD /.well-known/openid-configuration"] {
        let (status, body) = ask(&answers, request, &[HOST]).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(body, "Method not allowed\n");
    }
    let (status, _) = ask(&answers, "GET /else", &[HOST]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_empty_set_is_not_found() {
    let mut answers = answers(Options::default());
    answers.jwks = None;
    for (request, text) in [
        ("GET /jwks.json", "JWKS not available\n"),
        (DISCOVERY, "OIDC configuration not available\n"),
    ] {
        let (status, body) = ask(&answers, request, &[HOST]).await;
        assert_eq!((status, &*body), (StatusCode::NOT_FOUND, text));
    }
}

#[test]
fn a_prefix_is_cleaned() {
    for (given, expected) in [("", ""), ("/", ""), ("/a/", "/a"), ("a/b", "/a/b")] {
        assert_eq!(Options::clean_prefix(given), expected);
    }
}

#[tokio::test]
async fn the_document_follows_the_settings() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        answers(options)
    };
    let prefixed = "GET /a/.well-known/openid-configuration";
    let tls = |o: &mut Options| o.tls = Some(("c".into(), "k".into()));
    for (answers, request, issuer, jwks) in [
        (
            with(|o| o.prefix = "/a".into()),
            prefixed,
            "http://localhost:9080",
            "http://localhost:9080/a/jwks.json",
        ),
        (
            with(|o| o.issuer = Some("https://me.example".into())),
            DISCOVERY,
            "https://me.example",
            "https://me.example/jwks.json",
        ),
        (
            with(|o| o.jwks_uri = Some("https://keys.example/k".into())),
            DISCOVERY,
            "http://localhost:9080",
            "https://keys.example/k",
        ),
        (
            with(tls),
            DISCOVERY,
            "https://localhost:9080",
            "https://localhost:9080/jwks.json",
        ),
    ] {
        let (status, body) = ask(&answers, request, &[HOST]).await;
        assert_eq!(status, StatusCode::OK);
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["jwks_uri"], jwks);
    }
    let (status, _) = ask(&with(|o| o.prefix = "/a".into()), DISCOVERY, &[HOST]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_hosts_of_the_list_are_answered() {
    let listed = |hosts: &[&str]| {
        answers(Options {
            allowed_hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            ..Options::default()
        })
    };
    let forwarded = ("x-forwarded-host", "proxy.example");
    for (hosts, headers, expected) in [
        (&[][..], vec![("host", "any")], "http://any"),
        (&[], vec![("host", "any"), forwarded], "http://any"),
        (&["*"], vec![("host", "any"), forwarded], "http://any"),
        (&["a"], vec![("host", "a")], "http://a"),
        (&["a"], vec![("host", "a:1")], "http://a:1"),
        (&["a:1"], vec![("host", "a:1")], "http://a:1"),
        (&["a:1"], vec![("host", "a:2")], ""),
        (&["a"], vec![("host", "b")], ""),
        (&["a"], vec![("host", "a"), forwarded], ""),
        (
            &["proxy.example"],
            vec![("host", "b"), forwarded],
            "http://proxy.example",
        ),
    ] {
        let (status, body) = ask(&listed(hosts), DISCOVERY, &headers).await;
        if expected.is_empty() {
            assert_eq!(status, StatusCode::FORBIDDEN, "{hosts:?} {headers:?}");
            assert_eq!(body, "Forbidden: unauthorized domain\n");
        } else {
            let start = format!("{{\"issuer\":\"{expected}\",");
            assert!(body.starts_with(&start), "{hosts:?} {headers:?} {body}");
        }
    }
}
