use std::sync::Arc;

use component::metadata::{Properties, decode};
use component::state::{GetRequest, SetRequest, StateStore, Value};
use component::{Component, Env, Error, Result};
use conformance::state::{Options, check};
use testkit::postgres::{PASSWORD, Postgres, installed, start};

use super::*;

fn server() -> Option<Postgres> {
    if !installed() {
        testkit::skip("PostgreSQL is not installed");
        return None;
    }
    Some(start().unwrap())
}

async fn open<T: Component>(properties: &[(&str, &str)]) -> Result<T> {
    let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
    T::open(decode(&properties)?, Env::named("s")).await
}

async fn refusal(properties: &[(&str, &str)]) -> Error {
    match open::<PostgresV2>(properties).await {
        Ok(_) => panic!("it opened"),
        Err(e) => e,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_pass_the_suite() {
    let Some(postgres) = server() else { return };
    let url = ("connectionString", postgres.url.as_str());
    let v1 = open::<PostgresV1>(&[url]).await.unwrap();
    let promises = Options {
        first_write_mismatch: false,
        ..Options::default()
    };
    check(
        Arc::new(v1),
        Options {
            name: "state.postgresql v1",
            bad_etag: "1",
            ..promises
        },
    )
    .await;
    let v2 = open::<PostgresV2>(&[url, ("tablePrefix", "pfx_")])
        .await
        .unwrap();
    let bad_etag = "7b104dbd-1ae2-4772-bfa0-e29c7b89bc9b";
    check(
        Arc::new(v2),
        Options {
            name: "state.postgresql v2",
            bad_etag,
            ..promises
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_once_and_kept() {
    let Some(postgres) = server() else { return };
    let url = ("connectionString", postgres.url.as_str());
    // Many at once, as sidecars of one rollout start.
    let properties = [url];
    let opened = futures(8, || open::<PostgresV1>(&properties)).await;
    assert_eq!(
        opened.iter().filter(|r| r.is_ok()).count(),
        8,
        "{:?}",
        opened.iter().find_map(|r| r.as_ref().err())
    );
    let store = opened.into_iter().next().unwrap().unwrap();
    store
        .set(SetRequest::new("k", Value::Json("{\"a\":1}".into())))
        .await
        .unwrap();
    drop(store);
    let again = open::<PostgresV1>(&[url]).await.unwrap();
    let found = again
        .get(GetRequest {
            key: "k".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.data.as_ref(), b"{\"a\": 1}");
}

async fn futures<T>(count: usize, make: impl Fn() -> T) -> Vec<T::Output>
where
    T: Future,
{
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done = Vec::new();
    // They run interleaved: each is polled whenever one of them is woken.
    while !all.is_empty() {
        let (result, index) = std::future::poll_fn(|cx| {
            for (i, one) in all.iter_mut().enumerate() {
                if let std::task::Poll::Ready(result) = one.as_mut().poll(cx) {
                    return std::task::Poll::Ready((result, i));
                }
            }
            std::task::Poll::Pending
        })
        .await;
        drop(all.swap_remove(index));
        done.push(result);
    }
    done
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_names_the_remedy() {
    for (properties, part) in [
        (&[][..], "missing connection string"),
        (
            &[("connectionString", "host=h"), ("timeout", "500ms")],
            "must be greater than 1s",
        ),
        (
            &[("connectionString", "host=h"), ("tablePrefix", "a;b")],
            "is not valid",
        ),
        (
            &[("connectionString", "host=h"), ("useAWSIAM", "true")],
            "useAWSIAM is not supported",
        ),
        (
            &[(
                "connectionString",
                "host=h sslmode=verify-ca sslrootcert=/none",
            )],
            "/none",
        ),
    ] {
        let error = refusal(properties).await;
        assert!(error.message.contains(part), "{error}");
    }
    let port = testkit::free_port();
    let error = refusal(&[(
        "connectionString",
        &format!("host=127.0.0.1 port={port} user=u password=s3cret"),
    )])
    .await;
    assert!(
        error.message.contains(&format!("127.0.0.1:{port}")) && !error.message.contains("s3cret"),
        "{error}"
    );
    let Some(postgres) = server() else { return };
    let wrong = format!(
        "host=127.0.0.1 port={} user=dapr password=wr0ng dbname=postgres",
        postgres.port
    );
    let error = refusal(&[("connectionString", &wrong)]).await;
    assert!(
        error.message.contains("password authentication failed"),
        "{error}"
    );
    assert!(
        !format!("{error:?}").contains("wr0ng") && !format!("{error:?}").contains(PASSWORD),
        "{error:?}"
    );
}
