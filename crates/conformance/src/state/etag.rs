use anyhow::{Context, Result, ensure};
use component::ErrorKind::EtagMismatch;
use component::state::{Concurrency, Consistency, SetRequest};

use super::{Subject, refused};

pub(super) async fn each_write_makes_a_new_one(s: &Subject) -> Result<()> {
    let mut seen = Vec::new();
    for value in ["1", "2", "2"] {
        s.set("k", value).await?;
        seen.push(s.etag("k").await?);
        let bulk = s.bulk(&["k"], 0).await?;
        ensure!(
            bulk["k"].etag.as_ref() == seen.last(),
            "get and bulk get give different etags"
        );
    }
    ensure!(
        seen[0] != seen[1] && seen[1] != seen[2],
        "etags stayed the same: {seen:?}"
    );
    Ok(())
}

pub(super) async fn a_wrong_one_changes_nothing(s: &Subject) -> Result<()> {
    s.set("k", "1").await?;
    let old = s.etag("k").await?;
    s.set("k", "2").await?;
    for wrong in [old.as_str(), s.options.bad_etag] {
        let set = s.set_etag("k", "3", wrong).await;
        if let Err(error) = &set {
            let text = error.to_string();
            ensure!(
                text.starts_with("possible etag mismatch. error from state store"),
                "the error says: {text}"
            );
        }
        refused(set, EtagMismatch).context("setting")?;
        refused(s.delete("k", Some(wrong)).await, EtagMismatch).context("deleting")?;
    }
    ensure!(s.data("k").await? == "2", "the value changed");
    Ok(())
}

pub(super) async fn the_right_one_writes_and_deletes(s: &Subject) -> Result<()> {
    s.set("k", "1").await?;
    let first = s.etag("k").await?;
    s.set_etag("k", "2", &first).await?;
    ensure!(s.data("k").await? == "2", "the value did not change");
    let second = s.etag("k").await?;
    ensure!(first != second, "the etag did not change");
    s.delete("k", Some(&second)).await?;
    ensure!(s.absent("k").await?, "the item is there after its deletion");
    Ok(())
}

pub(super) async fn a_missing_item_has_none(s: &Subject) -> Result<()> {
    s.set("k", "1").await?;
    let etag = s.etag("k").await?;
    s.delete("k", None).await?;
    refused(s.set_etag("k", "2", &etag).await, EtagMismatch).context("setting")?;
    refused(s.delete("k", Some(&etag)).await, EtagMismatch).context("deleting")?;
    ensure!(s.absent("k").await?, "the refused write left an item");
    Ok(())
}

pub(super) async fn bulk_errors_name_the_key(s: &Subject) -> Result<()> {
    for name in ["good", "bad", "plain"] {
        s.set(name, "1").await?;
    }
    let good = s.etag("good").await?;
    let with = |name: &str, etag: &str| SetRequest {
        etag: Some(etag.into()),
        ..s.set_request(name, "2")
    };
    let sets = vec![
        with("good", &good),
        with("bad", s.options.bad_etag),
        s.set_request("plain", "2"),
    ];
    one_failed(s, s.store.bulk_set(sets).await)?;
    for (name, value) in [("good", "2"), ("bad", "1"), ("plain", "2")] {
        ensure!(
            s.data(name).await? == value,
            "{name:?} is not {value} after the bulk set"
        );
    }

    let good = s.etag("good").await?;
    let deletes = vec![
        s.delete_request("good", Some(&good)),
        s.delete_request("bad", Some(s.options.bad_etag)),
        s.delete_request("plain", None),
    ];
    one_failed(s, s.store.bulk_delete(deletes).await)?;
    let left = s.bulk(&["good", "bad", "plain"], 0).await?;
    ensure!(
        left.keys().eq(["bad"]),
        "left after the bulk delete: {:?}",
        left.keys()
    );
    Ok(())
}

fn one_failed(s: &Subject, result: Result<(), component::state::BulkError>) -> Result<()> {
    let failed = result.err().context("succeeded with a wrong etag")?.0;
    let [(key, error)] = &failed[..] else {
        anyhow::bail!("{} errors for one wrong etag", failed.len())
    };
    ensure!(*key == s.key("bad"), "the error is for {key:?}");
    ensure!(error.kind == EtagMismatch, "the error is {error}");
    Ok(())
}

pub(super) async fn first_write_comes_first(s: &Subject) -> Result<()> {
    for consistency in [
        Consistency::Unset,
        Consistency::Strong,
        Consistency::Eventual,
    ] {
        let name = format!("{consistency:?}");
        let request = |value: &'static str| SetRequest {
            concurrency: Concurrency::FirstWrite,
            consistency,
            ..s.set_request(&name, value)
        };
        s.store.set(request("1")).await?;
        let second = s.store.set(request("2")).await;
        if s.options.first_write_mismatch {
            refused(second, EtagMismatch)?;
        } else {
            ensure!(second.is_err(), "the second first-write succeeded");
        }
        ensure!(s.data(&name).await? == "1", "the value changed");
    }
    Ok(())
}

pub(super) async fn first_write_with_an_etag(s: &Subject) -> Result<()> {
    s.set_first("k", "1").await?;
    let etag = s.etag("k").await?;
    let request = |value: &'static str| SetRequest {
        concurrency: Concurrency::FirstWrite,
        etag: Some(etag.clone()),
        ..s.set_request("k", value)
    };
    s.store.set(request("2")).await?;
    ensure!(s.etag("k").await? != etag, "the etag did not change");
    refused(s.store.set(request("3")).await, EtagMismatch)?;
    ensure!(s.data("k").await? == "2", "the value changed");
    Ok(())
}
