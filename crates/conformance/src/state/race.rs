//! Writers at the same time.

use anyhow::{Result, ensure};
use bytes::Bytes;
use component::state::{Concurrency, Metadata, Operation, SetRequest};
use component::{Error, ErrorKind};
use tokio::task::JoinSet;

use super::Subject;

const WRITERS: usize = 16;

/// Runs one call per writer, in parallel where the runtime allows it.
async fn together<F>(call: impl Fn(usize) -> F) -> Result<Vec<Result<(), Error>>>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for writer in 0..WRITERS {
        calls.spawn(call(writer));
    }
    let mut results = Vec::new();
    while let Some(result) = calls.join_next().await {
        results.push(result?);
    }
    Ok(results)
}

fn one_winner(results: &[Result<(), Error>]) -> Result<()> {
    let winners = results.iter().filter(|r| r.is_ok()).count();
    ensure!(winners == 1, "{winners} of {} writers won", results.len());
    Ok(())
}

pub(super) async fn one_writer_wins(s: &Subject) -> Result<()> {
    s.set("k", "start").await?;
    for _round in 0..5 {
        let etag = s.etag("k").await?;
        let results = together(|writer| {
            let (s, etag) = (s.clone(), etag.clone());
            async move {
                let req = s.set_request("k", writer.to_string());
                s.store
                    .set(SetRequest {
                        etag: Some(etag),
                        ..req
                    })
                    .await
            }
        })
        .await?;
        one_winner(&results)?;
        let lost = results
            .into_iter()
            .filter_map(Result::err)
            .find(|e| e.kind != ErrorKind::EtagMismatch);
        ensure!(lost.is_none(), "a late writer got {lost:?}");
    }
    Ok(())
}

pub(super) async fn one_first_write_wins(s: &Subject) -> Result<()> {
    for round in 0..5 {
        let results = together(|writer| {
            let s = s.clone();
            async move {
                let req = s.set_request(&format!("k{round}"), writer.to_string());
                s.store
                    .set(SetRequest {
                        concurrency: Concurrency::FirstWrite,
                        ..req
                    })
                    .await
            }
        })
        .await?;
        one_winner(&results)?;
    }
    Ok(())
}

/// Each writer adds one, and tries again when another was faster.
pub(super) async fn no_increment_is_lost(s: &Subject) -> Result<()> {
    s.set("n", "0").await?;
    let results = together(|_| {
        let s = s.clone();
        async move {
            loop {
                let item = s
                    .item("n")
                    .await?
                    .ok_or_else(|| Error::internal("the counter is missing"))?;
                let old: u64 = std::str::from_utf8(&item.data)
                    .unwrap_or_default()
                    .parse()
                    .unwrap_or(u64::MAX - 1);
                let req = s.set_request("n", (old + 1).to_string());
                match s
                    .store
                    .set(SetRequest {
                        etag: item.etag,
                        ..req
                    })
                    .await
                {
                    Err(error) if error.kind == ErrorKind::EtagMismatch => {}
                    result => return result,
                }
            }
        }
    })
    .await?;
    results.into_iter().collect::<Result<Vec<()>, Error>>()?;
    let sum = s.data("n").await?;
    ensure!(sum == WRITERS.to_string(), "{WRITERS} writers made {sum:?}");
    Ok(())
}

pub(super) async fn transactions_are_not_mixed(s: &Subject) -> Result<()> {
    let results = together(|writer| {
        let s = s.clone();
        async move {
            let value = Bytes::from(writer.to_string());
            let sets =
                ["a", "b", "c"].map(|name| Operation::Set(s.set_request(name, value.clone())));
            s.store.transact(sets.into(), Metadata::new()).await
        }
    })
    .await?;
    results.into_iter().collect::<Result<Vec<()>, Error>>()?;
    let (a, b, c) = (s.data("a").await?, s.data("b").await?, s.data("c").await?);
    ensure!(
        a == b && b == c,
        "the end has parts of several transactions: {a:?} {b:?} {c:?}"
    );
    Ok(())
}
