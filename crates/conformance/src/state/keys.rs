//! Listing keys and deleting by prefix.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use component::ErrorKind::InvalidRequest;
use component::state::{KeysPage, KeysRequest};

use super::{Subject, refused};

async fn page(
    s: &Subject,
    pattern: &str,
    page_size: u32,
    token: Option<String>,
) -> Result<KeysPage> {
    let request = KeysRequest {
        pattern: s.key(pattern),
        page_size,
        token,
    };
    Ok(s.store.keys_like(request).await?)
}

async fn matches(s: &Subject, pattern: &str, expected: &[&str]) -> Result<()> {
    let mut got = page(s, pattern, 0, None).await?;
    ensure!(
        got.token.is_none(),
        "{pattern:?} without a page size gave a token"
    );
    got.keys.sort();
    let mut expected: Vec<String> = expected.iter().map(|name| s.key(name)).collect();
    expected.sort();
    ensure!(got.keys == expected, "{pattern:?} gave {:?}", got.keys);
    Ok(())
}

async fn fill(s: &Subject, names: &[&str]) -> Result<()> {
    for name in names {
        s.set(name, "1").await?;
    }
    Ok(())
}

pub(super) async fn patterns_match(s: &Subject) -> Result<()> {
    matches(s, "%", &[]).await?;
    fill(
        s,
        &[
            "key1",
            "key2",
            "my||key1",
            "my||other||key3",
            "abcd",
            "abcde",
            "grüß",
        ],
    )
    .await?;
    matches(
        s,
        "%",
        &[
            "key1",
            "key2",
            "my||key1",
            "my||other||key3",
            "abcd",
            "abcde",
            "grüß",
        ],
    )
    .await?;
    matches(s, "key_", &["key1", "key2"]).await?;
    matches(s, "%key1", &["key1", "my||key1"]).await?;
    matches(s, "my||%", &["my||key1", "my||other||key3"]).await?;
    matches(s, "%||%||%", &["my||other||key3"]).await?;
    matches(s, "%e%3", &["my||other||key3"]).await?;
    matches(s, "abc_", &["abcd"]).await?;
    matches(s, "gr__", &["grüß"]).await?;
    matches(s, "key1", &["key1"]).await?;
    matches(s, "key", &[]).await?;
    if s.options.case_sensitive_keys {
        matches(s, "KEY_", &[]).await?;
    }
    Ok(())
}

pub(super) async fn wildcards_can_be_escaped(s: &Subject) -> Result<()> {
    fill(
        s,
        &[
            "%", "_", "a%b", "a_b", "axb", "a%%b", "a*b", "a?b", "a[x]b", r"a\b",
        ],
    )
    .await?;
    matches(s, r"\%", &["%"]).await?;
    matches(s, r"\_", &["_"]).await?;
    matches(s, r"a\%b", &["a%b"]).await?;
    matches(s, r"a\_b", &["a_b"]).await?;
    matches(s, r"a\%\%b", &["a%%b"]).await?;
    matches(s, r"a\\b", &[r"a\b"]).await?;
    matches(s, r"%\%%", &["%", "a%b", "a%%b"]).await?;
    // Other languages' wildcards mean themselves.
    matches(s, "a*b", &["a*b"]).await?;
    matches(s, "a?b", &["a?b"]).await?;
    matches(s, "a[x]b", &["a[x]b"]).await
}

/// Follows the tokens to the end.
async fn pages(
    s: &Subject,
    size: u32,
    mut between: impl AsyncFnMut(&KeysPage) -> Result<()>,
) -> Result<Vec<String>> {
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let got = page(s, "%", size, token).await?;
        ensure!(
            got.keys.len() <= size as usize,
            "{} keys on a page of {size}",
            got.keys.len()
        );
        between(&got).await?;
        keys.extend(got.keys);
        token = got.token;
        if token.is_none() {
            return Ok(keys);
        }
        ensure!(keys.len() < 1000, "the pages do not end");
    }
}

pub(super) async fn pages_give_every_key_once(s: &Subject) -> Result<()> {
    let names: Vec<String> = (0..9).map(|i| format!("k{i}")).collect();
    fill(s, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for size in [1, 2, 3, 8, 9, 10] {
        let keys = pages(s, size, async |_| Ok(())).await?;
        let unique: BTreeSet<_> = keys.iter().collect();
        ensure!(
            keys.len() == 9 && unique.len() == 9,
            "pages of {size} gave {keys:?}"
        );
    }
    Ok(())
}

pub(super) async fn a_deletion_between_pages_does_no_harm(s: &Subject) -> Result<()> {
    let names: Vec<String> = (0..6).map(|i| format!("k{i}")).collect();
    fill(s, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let prefix = s.key("");
    let keys = pages(s, 2, async |page| {
        // A key that is seen already goes.
        if let Some(name) = page.keys.last().and_then(|key| key.strip_prefix(&prefix)) {
            s.delete(name, None).await?;
        }
        Ok(())
    })
    .await?;
    let unique: BTreeSet<_> = keys.iter().collect();
    ensure!(
        unique.len() == keys.len(),
        "a key was listed twice: {keys:?}"
    );
    ensure!(!keys.is_empty(), "no key was listed");
    Ok(())
}

pub(super) async fn an_empty_pattern_is_refused(s: &Subject) -> Result<()> {
    refused(
        s.store.keys_like(KeysRequest::default()).await,
        InvalidRequest,
    )
}

pub(super) async fn a_prefix_deletes_its_direct_children(s: &Subject) -> Result<()> {
    fill(s, &["p||a", "p||b", "p||q||a", "pp||a", "p"]).await?;
    let deleted = s.store.delete_with_prefix(&s.key("p")).await?;
    ensure!(deleted == 2, "{deleted} keys are said to be deleted");
    let left = s
        .bulk(&["p||a", "p||b", "p||q||a", "pp||a", "p"], 0)
        .await?;
    ensure!(
        left.keys().eq(["p", "pp||a", "p||q||a"]),
        "left: {:?}",
        left.keys()
    );
    ensure!(
        s.store.delete_with_prefix(&s.key("p||q||")).await? == 1,
        "a prefix with its separator does not work"
    );
    ensure!(
        s.store.delete_with_prefix(&s.key("none")).await? == 0,
        "keys of no prefix were deleted"
    );
    Ok(())
}

pub(super) async fn a_prefix_is_needed(s: &Subject) -> Result<()> {
    refused(s.store.delete_with_prefix("").await, InvalidRequest)?;
    refused(s.store.delete_with_prefix("||").await, InvalidRequest)
}
