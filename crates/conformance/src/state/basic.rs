use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use component::ErrorKind;
use component::state::{SetRequest, Value};

use super::{Subject, refused};

pub(super) async fn a_ping_answers_or_is_unsupported(s: &Subject) -> Result<()> {
    match s.store.ping().await {
        Err(error) if error.kind != ErrorKind::Unsupported => Err(error.into()),
        _ => Ok(()),
    }
}

/// Bytes to store, and whether they are one JSON value.
pub(super) fn values() -> Vec<(&'static str, Value)> {
    let json = |text: &'static str| Value::Json(Bytes::from_static(text.as_bytes()));
    vec![
        ("every byte", Value::Bytes((0..=255).collect())),
        ("no byte", Value::Bytes(Bytes::new())),
        (
            "plain text",
            Value::Bytes(Bytes::from_static("grüße <b>&</b>".as_bytes())),
        ),
        (
            "bytes that are JSON",
            Value::Bytes(Bytes::from_static(br#"{"b": [1,2.50], "a": "\u00fc"}"#)),
        ),
        (
            "an object",
            json(r#"{"a":{"b":[1,2,{"c":null}]},"ü":"<&>"}"#),
        ),
        ("an array", json(r#"[1,"2",[3],{}]"#)),
        ("a text", json(r#""quote \" and \\ and \n""#)),
        ("an empty text", json(r#""""#)),
        ("a number", json("12.5")),
        ("a big number", json("9007199254740993")),
        ("a truth", json("true")),
    ]
}

pub(super) async fn values_come_back_as_they_went_in(s: &Subject) -> Result<()> {
    for (name, value) in values() {
        s.store
            .set(SetRequest::new(s.key(name), value))
            .await
            .with_context(|| format!("setting {name}"))?;
    }
    compare_values(s).await
}

/// Bytes must be equal; JSON may be written in another way.
pub(super) async fn compare_values(s: &Subject) -> Result<()> {
    for (name, value) in values() {
        let data = s.data(name).await?;
        match value {
            Value::Bytes(bytes) => ensure!(data == bytes, "{name} came back as {data:?}"),
            Value::Json(json) => {
                let got: serde_json::Value = serde_json::from_slice(&data)
                    .with_context(|| format!("{name} came back as {data:?}"))?;
                let sent: serde_json::Value = serde_json::from_slice(&json)?;
                ensure!(got == sent, "{name} came back as {got}");
            }
        }
    }
    Ok(())
}

pub(super) async fn a_missing_key_is_none(s: &Subject) -> Result<()> {
    ensure!(s.absent("none").await?, "a key that was never set is there");
    s.delete("none", None)
        .await
        .context("deleting a missing key")?;
    s.set("some", "1").await?;
    s.delete("some", None).await?;
    ensure!(s.absent("some").await?, "a deleted key is there");
    s.delete("some", None).await.context("deleting it again")
}

pub(super) async fn a_write_replaces(s: &Subject) -> Result<()> {
    s.set("k", "a long value").await?;
    s.set("k", "short").await?;
    ensure!(
        s.data("k").await? == "short",
        "the second value is not there"
    );
    let json = Value::Json(Bytes::from_static(b"[1]"));
    s.store.set(SetRequest::new(s.key("k"), json)).await?;
    ensure!(s.data("k").await? == "[1]", "JSON did not replace bytes");
    s.set("k", vec![0, 159, 146, 150]).await?;
    ensure!(
        s.data("k").await? == vec![0, 159, 146, 150],
        "bytes did not replace JSON"
    );
    Ok(())
}

pub(super) async fn odd_keys_work(s: &Subject) -> Result<()> {
    for (i, key) in s.options.odd_keys.iter().enumerate() {
        s.set(key, i.to_string())
            .await
            .with_context(|| format!("setting {key:?}"))?;
    }
    for (i, key) in s.options.odd_keys.iter().enumerate() {
        ensure!(
            s.data(key).await? == i.to_string(),
            "{key:?} has another value"
        );
        s.delete(key, None)
            .await
            .with_context(|| format!("deleting {key:?}"))?;
        ensure!(s.absent(key).await?, "{key:?} is there after its deletion");
    }
    Ok(())
}

pub(super) async fn large_values_fit(s: &Subject) -> Result<()> {
    let large: Bytes = (0..s.options.large_value)
        .map(|i| (i * 31 % 251) as u8)
        .collect();
    s.set("large", large.clone()).await?;
    ensure!(
        s.data("large").await? == large,
        "a large value came back changed"
    );
    s.delete("large", None).await?;
    Ok(())
}

pub(super) async fn a_key_is_needed(s: &Subject) -> Result<()> {
    let empty = SetRequest {
        key: String::new(),
        ..s.set_request("", "1")
    };
    refused(s.store.set(empty).await, ErrorKind::InvalidRequest).context("setting an empty key")?;
    refused(
        s.store.get(Default::default()).await,
        ErrorKind::InvalidRequest,
    )
    .context("getting an empty key")?;
    refused(
        s.store.delete(Default::default()).await,
        ErrorKind::InvalidRequest,
    )
    .context("deleting an empty key")
}
