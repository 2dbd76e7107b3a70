//! What lies in the server, and what that means for the next write.

use super::*;

#[tokio::test]
async fn keys_are_hashes_of_data_and_version() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let mut req = SetRequest::new("app||k", Value::Json("\"v\"".into()));
    store.set(req.clone()).await.unwrap();
    assert_eq!(
        redis.cli(&["HGETALL", "app||k"]).unwrap(),
        "data\n\"v\"\nversion\n1\n"
    );
    req.concurrency = Concurrency::FirstWrite;
    req.etag = Some("1".into());
    store.set(req).await.unwrap();
    assert_eq!(
        redis
            .cli(&["HMGET", "app||k", "version", "first-write"])
            .unwrap(),
        "2\n0\n"
    );
}

#[tokio::test]
async fn a_time_to_live_stays_until_a_write_changes_it() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let set = |ttl: &str| {
        let mut req = item("k", "v");
        if !ttl.is_empty() {
            req.metadata.insert("ttlInSeconds".into(), ttl.into());
        }
        store.set(req)
    };
    let left = || {
        redis
            .cli(&["TTL", "k"])
            .unwrap()
            .trim()
            .parse::<i64>()
            .unwrap()
    };
    set("100").await.unwrap();
    assert!((90..=100).contains(&left()));
    set("").await.unwrap();
    assert!((90..=100).contains(&left()));
    let mut refused = item("k", "v");
    refused.etag = Some("9".into());
    refused.metadata.insert("ttlInSeconds".into(), "5".into());
    store.set(refused).await.unwrap_err();
    assert!((90..=100).contains(&left()));
    set("-1").await.unwrap();
    assert_eq!(left(), -1);
    let error = set("soon").await.unwrap_err();
    assert!(
        error
            .message
            .starts_with("failed to parse ttl from metadata: "),
        "{error}"
    );
    let properties = [("redisHost", &*redis.address()), ("ttlInSeconds", "50")];
    let limited = open(&properties).await.unwrap();
    let ops = vec![Operation::Set(item("k", "v"))];
    limited.transact(ops, Metadata::new()).await.unwrap();
    assert!((40..=50).contains(&left()));
}

#[tokio::test]
async fn the_first_write_guards_the_key() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let set = |concurrency, etag: Option<&str>| {
        let mut req = item("k", "v");
        (req.concurrency, req.etag) = (concurrency, etag.map(Into::into));
        store.set(req)
    };
    use Concurrency::{FirstWrite, LastWrite, Unset};
    set(Unset, None).await.unwrap();
    set(FirstWrite, None).await.unwrap();
    // From now on only the exact etag counts.
    let text = "failed to set key k";
    for concurrency in [Unset, FirstWrite, LastWrite] {
        let error = set(concurrency, None).await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Conflict, text)
        );
    }
    // A last write does not look at its etag, but having one it reports a mismatch.
    let error = set(LastWrite, Some("2")).await.unwrap_err();
    let mismatch = format!("possible etag mismatch. error from state store: {text}");
    assert_eq!(
        (error.kind, error.message),
        (ErrorKind::EtagMismatch, mismatch)
    );
    set(Unset, Some("2")).await.unwrap();
    let error = set(Unset, Some("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EtagInvalid);
    assert!(error.message.starts_with("invalid etag value: "), "{error}");
    let error = store.delete(delete_of("k", Some("x"))).await.unwrap_err();
    let mismatch = "possible etag mismatch. error from state store: failed to delete k";
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::EtagMismatch, mismatch)
    );
    store.delete(delete_of("k", None)).await.unwrap();
}

#[tokio::test]
async fn keys_of_other_programs_are_shown_and_replaced() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    redis.cli(&["SET", "text", "plain"]).unwrap();
    redis.cli(&["RPUSH", "list", "1"]).unwrap();
    redis.cli(&["HSET", "hash", "other", "1"]).unwrap();
    assert_eq!(shown(&store, "text").await, "plain@");
    let error = store.get(get_of("list")).await.unwrap_err();
    assert!(error.message.contains("WRONGTYPE"), "{error}");
    let error = store.get(get_of("hash")).await.unwrap_err();
    assert_eq!(
        error.message,
        "required hash field 'data' or 'version' was not found"
    );
    for key in ["text", "list", "hash"] {
        store.set(item(key, "v")).await.unwrap();
        assert_eq!(shown(&store, key).await, "v@1");
    }
    redis.cli(&["RPUSH", "other", "1"]).unwrap();
    store.delete(delete_of("other", Some("3"))).await.unwrap();
    assert_eq!(redis.cli(&["EXISTS", "other"]).unwrap(), "0\n");
}

#[tokio::test]
async fn queries_need_a_server_with_json() {
    let Some(redis) = server(&[]) else { return };
    let address = redis.address();
    let indexes = r#"[{"name":"i","indexes":[{"key":"a","type":"TEXT"}]}]"#;
    let properties = [("redisHost", address.as_str()), ("queryIndexes", indexes)];
    let store = open(&properties).await.unwrap();
    let error = store.query("{}".into(), Metadata::new()).await.unwrap_err();
    assert_eq!(
        error.message,
        "redis-json server support is required for query capability"
    );
    // Without JSON its content type changes nothing.
    let mut req = SetRequest::new("k", Value::Json("{\"a\":1}".into()));
    req.metadata
        .insert("contentType".into(), "application/json".into());
    store
        .transact(vec![Operation::Set(req.clone())], req.metadata.clone())
        .await
        .unwrap();
    assert_eq!(redis.cli(&["TYPE", "k"]).unwrap(), "hash\n");
    let error = refusal(&[("redisHost", &address), ("queryIndexes", "[1")]).await;
    assert!(error.message.contains("queryIndexes"), "{error}");
}

/// No server here has JSON; but the scripts must run up to its first command.
#[tokio::test]
async fn the_scripts_for_documents_reach_the_json_commands() {
    let Some(redis) = server(&[]) else { return };
    let mut store = open(&[("redisHost", &redis.address())]).await.unwrap();
    store.json = true;
    let json = Metadata::from([("contentType".into(), "application/json".into())]);
    let req = SetRequest {
        metadata: json.clone(),
        ..SetRequest::new("k", Value::Json("{}".into()))
    };
    for error in [
        store.set(req.clone()).await.unwrap_err(),
        store
            .transact(vec![Operation::Set(req)], Metadata::new())
            .await
            .unwrap_err(),
    ] {
        assert!(error.message.contains("nknown Redis command"), "{error}");
    }
    let req = DeleteRequest {
        metadata: json.clone(),
        ..delete_of("k", Some("1"))
    };
    store.delete(req).await.unwrap();
    let req = GetRequest {
        metadata: json,
        ..get_of("k")
    };
    let error = store.get(req).await.unwrap_err();
    assert!(error.message.contains("unknown command"), "{error}");
}
