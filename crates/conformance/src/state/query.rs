//! The query API over a small library.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bytes::Bytes;
use component::state::{Metadata, QueryPage, SetRequest, Value as Stored};
use serde_json::{Value, json};

use super::Subject;

const BOOKS: [(&str, &str, &str, u32); 5] = [
    ("emma", "Emma", "Austen", 3),
    ("persuasion", "Persuasion", "Austen", 1),
    ("ulysses", "Ulysses", "Joyce", 2),
    ("walden", "Walden", "Thoreau", 5),
    ("middlemarch", "Middlemarch", "Eliot", 4),
];

fn metadata(s: &Subject) -> Metadata {
    let json = [("contentType", "application/json")];
    json.iter()
        .chain(s.options.query_metadata)
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect()
}

async fn fill(s: &Subject) -> Result<()> {
    for (name, title, author, copies) in BOOKS {
        let book =
            json!({"run": s.run, "title": title, "author": {"name": author}, "copies": copies});
        let value = Stored::Json(Bytes::from(book.to_string()));
        s.store
            .set(SetRequest {
                metadata: metadata(s),
                ..SetRequest::new(s.key(name), value)
            })
            .await?;
    }
    Ok(())
}

/// Only items of this case count.
fn mine(s: &Subject, filter: &Value) -> Value {
    json!({"AND": [{"EQ": {"run": s.run}}, filter]})
}

async fn query(s: &Subject, query: Value) -> Result<QueryPage, component::Error> {
    s.store
        .query(Bytes::from(query.to_string()), metadata(s))
        .await
}

fn names(s: &Subject, page: &QueryPage) -> Vec<String> {
    let prefix = s.key("");
    page.results
        .iter()
        .map(|item| {
            item.key
                .strip_prefix(&prefix)
                .unwrap_or(&item.key)
                .to_owned()
        })
        .collect()
}

pub(super) async fn filters_find_what_they_say(s: &Subject) -> Result<()> {
    fill(s).await?;
    for (filter, expected) in [
        (json!({"EQ": {"title": "Emma"}}), vec!["emma"]),
        (
            json!({"EQ": {"author.name": "Austen"}}),
            vec!["emma", "persuasion"],
        ),
        (json!({"EQ": {"copies": 2}}), vec!["ulysses"]),
        (json!({"EQ": {"title": "None"}}), vec![]),
        (
            json!({"NEQ": {"author.name": "Austen"}}),
            vec!["middlemarch", "ulysses", "walden"],
        ),
        (json!({"GT": {"copies": 3}}), vec!["middlemarch", "walden"]),
        (
            json!({"GTE": {"copies": 3}}),
            vec!["emma", "middlemarch", "walden"],
        ),
        (json!({"LT": {"copies": 2}}), vec!["persuasion"]),
        (json!({"LTE": {"copies": 2}}), vec!["persuasion", "ulysses"]),
        (
            json!({"IN": {"title": ["Emma", "Walden", "None"]}}),
            vec!["emma", "walden"],
        ),
        (
            json!({"OR": [{"EQ": {"author.name": "Joyce"}}, {"AND": [{"EQ": {"author.name": "Austen"}}, {"EQ": {"copies": 1}}]}]}),
            vec!["persuasion", "ulysses"],
        ),
    ] {
        let page = query(s, json!({"filter": mine(s, &filter)})).await?;
        let found: BTreeSet<String> = names(s, &page).into_iter().collect();
        ensure!(found.iter().eq(&expected), "{filter} found {found:?}");
        let texts = page
            .results
            .iter()
            .all(|item| serde_json::from_slice::<Value>(&item.data).is_ok());
        ensure!(texts, "{filter} gave data that is not JSON");
    }
    Ok(())
}

pub(super) async fn sorted_pages_give_every_item_once(s: &Subject) -> Result<()> {
    fill(s).await?;
    for (order, expected) in [
        (
            "ASC",
            ["emma", "middlemarch", "persuasion", "ulysses", "walden"],
        ),
        (
            "DESC",
            ["walden", "ulysses", "persuasion", "middlemarch", "emma"],
        ),
    ] {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let asked = json!({
                "filter": {"EQ": {"run": s.run}},
                "sort": [{"key": "title", "order": order}],
                "page": {"limit": 2, "token": token},
            });
            let page = query(s, asked).await?;
            ensure!(
                page.results.len() <= 2,
                "{} items on a page of 2",
                page.results.len()
            );
            found.extend(names(s, &page));
            if page.results.is_empty() || page.token.is_empty() {
                break;
            }
            ensure!(page.token != token, "the token stays {token:?}");
            token = page.token;
        }
        ensure!(found == expected, "{order} gave {found:?}");
    }
    Ok(())
}

pub(super) async fn bad_queries_are_refused(s: &Subject) -> Result<()> {
    for bad in [
        json!({"filter": {"LIKE": {"title": "E"}}}),
        json!({"filter": {"EQ": {"a": 1, "b": 2}}}),
        json!({"filter": {"IN": {"title": "Emma"}}}),
        json!({"filter": {"AND": [{"EQ": {"title": "Emma"}}]}}),
        json!({"filter": {"EQ": {"a": 1}, "NEQ": {"a": 2}}}),
    ] {
        ensure!(query(s, bad.clone()).await.is_err(), "{bad} was taken");
    }
    Ok(())
}
