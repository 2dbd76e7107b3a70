use anyhow::{Result, ensure};

use super::Subject;

pub(super) async fn gets_answer_every_key(s: &Subject) -> Result<()> {
    for name in ["a", "b", "c"] {
        s.set(name, name).await?;
    }
    for parallelism in [0, 1, 2, 10] {
        let found = s.bulk(&["a", "none", "c", "b"], parallelism).await?;
        let found: Vec<_> = found
            .iter()
            .map(|(name, item)| (name.as_str(), &item.data[..]))
            .collect();
        ensure!(
            found == [("a", &b"a"[..]), ("b", b"b"), ("c", b"c")],
            "found {found:?}"
        );
    }
    ensure!(s.bulk(&[], 0).await?.is_empty(), "no keys gave items");
    Ok(())
}

pub(super) async fn sets_and_deletes_write_every_key(s: &Subject) -> Result<()> {
    let names: Vec<String> = (0..20).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    s.store
        .bulk_set(
            names
                .iter()
                .map(|name| s.set_request(name, (*name).to_owned()))
                .collect(),
        )
        .await?;
    let found = s.bulk(&names, 0).await?;
    ensure!(
        found.len() == names.len(),
        "{} of {} keys are there",
        found.len(),
        names.len()
    );
    ensure!(
        found
            .iter()
            .all(|(name, item)| item.data == name.as_bytes()),
        "a key has another's value"
    );

    let gone = names.iter().skip(1).chain([&"none"]);
    s.store
        .bulk_delete(gone.map(|name| s.delete_request(name, None)).collect())
        .await?;
    let left = s.bulk(&names, 0).await?;
    ensure!(
        left.keys().eq(["n0"]),
        "left after the deletion: {:?}",
        left.keys()
    );
    s.store.bulk_set(Vec::new()).await?;
    s.store.bulk_delete(Vec::new()).await?;
    Ok(())
}
