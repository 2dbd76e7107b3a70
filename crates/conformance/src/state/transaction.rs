use anyhow::{Context, Result, ensure};
use component::state::{Metadata, Operation, SetRequest};

use super::{Subject, basic};

async fn transact(s: &Subject, ops: Vec<Operation>) -> Result<(), component::Error> {
    let partition = Metadata::from([("partitionKey".into(), s.run.clone())]);
    s.store.transact(ops, partition).await
}

fn set(s: &Subject, name: &str, value: &'static str) -> Operation {
    Operation::Set(s.set_request(name, value))
}

fn delete(s: &Subject, name: &str) -> Operation {
    Operation::Delete(s.delete_request(name, None))
}

pub(super) async fn nothing_to_do(s: &Subject) -> Result<()> {
    transact(s, Vec::new()).await?;
    Ok(())
}

pub(super) async fn sets_and_deletes(s: &Subject) -> Result<()> {
    transact(s, vec![set(s, "single", "1")])
        .await
        .context("one operation")?;
    ensure!(
        s.data("single").await? == "1",
        "a transaction of one is not visible"
    );
    s.set("old", "1").await?;
    transact(
        s,
        vec![set(s, "new", "1"), delete(s, "old"), set(s, "single", "2")],
    )
    .await?;
    let found = s.bulk(&["single", "old", "new"], 0).await?;
    ensure!(
        found.keys().eq(["new", "single"]),
        "found {:?}",
        found.keys()
    );
    ensure!(found["single"].data == "2", "an item was not replaced");
    Ok(())
}

pub(super) async fn values_come_back_as_they_went_in(s: &Subject) -> Result<()> {
    let sets = basic::values()
        .into_iter()
        .map(|(name, value)| Operation::Set(SetRequest::new(s.key(name), value)));
    transact(s, sets.collect()).await?;
    basic::compare_values(s).await
}

pub(super) async fn missing_keys_can_be_deleted(s: &Subject) -> Result<()> {
    transact(
        s,
        vec![delete(s, "none"), set(s, "k", "1"), delete(s, "neither")],
    )
    .await?;
    ensure!(s.data("k").await? == "1", "the item between is missing");
    Ok(())
}

pub(super) async fn operations_keep_their_order(s: &Subject) -> Result<()> {
    s.set("old", "0").await?;
    let ops = vec![
        delete(s, "old"),
        set(s, "old", "1"),
        set(s, "brief", "1"),
        delete(s, "brief"),
        set(s, "last", "1"),
        set(s, "last", "2"),
    ];
    transact(s, ops).await?;
    let found = s.bulk(&["old", "brief", "last"], 0).await?;
    ensure!(found.keys().eq(["last", "old"]), "found {:?}", found.keys());
    ensure!(
        found["old"].data == "1" && found["last"].data == "2",
        "an older value won"
    );
    Ok(())
}

pub(super) async fn all_or_nothing(s: &Subject) -> Result<()> {
    s.set("kept", "1").await?;
    s.set("guarded", "1").await?;
    let stale = SetRequest {
        etag: Some(s.options.bad_etag.into()),
        ..s.set_request("guarded", "2")
    };
    let stale_delete = s.delete_request("guarded", Some(s.options.bad_etag));
    for bad in [Operation::Set(stale), Operation::Delete(stale_delete)] {
        let ops = vec![
            set(s, "made", "1"),
            delete(s, "kept"),
            bad,
            set(s, "later", "1"),
        ];
        ensure!(transact(s, ops).await.is_err(), "a wrong etag was taken");
        let found = s.bulk(&["kept", "guarded", "made", "later"], 0).await?;
        ensure!(
            found.keys().eq(["guarded", "kept"]),
            "found {:?}",
            found.keys()
        );
        ensure!(found["guarded"].data == "1", "the guarded item changed");
    }
    Ok(())
}
