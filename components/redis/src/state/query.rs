//! Queries, for a server with JSON and search: the API's document becomes one
//! `FT.SEARCH`.

use std::collections::BTreeMap;

use component::state::{Metadata, QueryItem, QueryPage};
use component::{Error, Result};
use redis::Value;
use serde::Deserialize;
use serde_json::Value as Json;

use super::RedisState;
use super::filter::{alias, unit};
use super::read::bytes;
use crate::client::{Repeat, explain};

/// The indexes of the component, by name.
#[derive(Debug, Default)]
pub(super) struct Indexes(BTreeMap<String, Vec<Field>>);

#[derive(Debug, Deserialize)]
pub(super) struct Field {
    pub(super) key: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Indexes {
    /// `text` is the component's `queryIndexes`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            name: String,
            indexes: Vec<Field>,
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let indexes: Vec<Index> = serde_json::from_str(text).map_err(|e| {
            Error::config(format!(
                "redis store: queryIndexes is not a JSON list of indexes: {e}"
            ))
        })?;
        Ok(Self(
            indexes.into_iter().map(|i| (i.name, i.indexes)).collect(),
        ))
    }

    /// The arguments of `FT.CREATE` for each index.
    fn schemas(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.0.iter().map(|(name, fields)| {
            let mut args: Vec<String> = ["ON", "JSON", "SCHEMA"].map(Into::into).into();
            for (i, field) in fields.iter().enumerate() {
                let column = [
                    format!("$.data.{}", field.key),
                    "AS".into(),
                    format!("var{i}"),
                ];
                args.extend(column);
                args.extend([field.kind.clone(), "SORTABLE".into()]);
            }
            (name.as_str(), args)
        })
    }
}

impl RedisState {
    pub(super) async fn create_indexes(&self) -> Result<()> {
        let failed = |e| {
            explain(
                "redis store: cannot create index: ",
                self.client.address(),
                e,
            )
        };
        for (name, args) in self.indexes.schemas() {
            let create = || {
                let mut command = redis::cmd("FT.CREATE");
                command.arg(name).arg(&args);
                self.client.call(command, Repeat::Safe)
            };
            let Err(error) = create().await else { continue };
            if !error.to_string().contains("Index already exists") {
                return Err(failed(error));
            }
            let mut drop = redis::cmd("FT.DROPINDEX");
            drop.arg(name);
            self.client.call(drop, Repeat::Safe).await.map_err(failed)?;
            create().await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn search(&self, query: &[u8], metadata: &Metadata) -> Result<QueryPage> {
        if !self.json {
            return Err(Error::invalid(
                "redis-json server support is required for query capability",
            ));
        }
        let index = metadata.get("queryIndexName");
        let index = index.ok_or_else(|| Error::invalid("query index not found"))?;
        let fields =
            self.indexes.0.get(index).ok_or_else(|| {
                Error::invalid(format!("query index schema \"{index}\" not found"))
            })?;
        let search = Search::build(query, fields)?;
        let mut command = redis::cmd("FT.SEARCH");
        command.arg(index).arg(&search.args);
        let answer = self.client.call(command, Repeat::Safe).await;
        let answer = answer.map_err(|e| explain("failed to query: ", self.client.address(), e))?;
        search.page(answer)
    }
}

/// A search and what its next page needs.
#[derive(Debug)]
struct Search {
    args: Vec<String>,
    offset: u64,
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    filter: Json,
    #[serde(default)]
    sort: Vec<Sort>,
    #[serde(default)]
    page: Page,
}

#[derive(Deserialize)]
struct Sort {
    key: String,
    #[serde(default)]
    order: String,
}

#[derive(Default, Deserialize)]
struct Page {
    #[serde(default)]
    limit: u64,
    #[serde(default)]
    token: String,
}

impl Search {
    fn build(query: &[u8], fields: &[Field]) -> Result<Self> {
        let query: Query = serde_json::from_slice(query)
            .map_err(|e| Error::invalid(format!("failed to parse JSON query body: {e}")))?;
        let filter = match &query.filter {
            Json::Null => "*".into(),
            Json::Object(map) if map.is_empty() => "*".into(),
            filter => unit(filter, fields, true)?,
        };
        let mut args = vec![filter];
        match query.sort.as_slice() {
            [] => {}
            [sort] => {
                args.extend(["SORTBY".into(), alias(&sort.key, fields)?]);
                if sort.order.eq_ignore_ascii_case("DESC") {
                    args.push("DESC".into());
                }
            }
            _ => {
                return Err(Error::invalid(
                    "multiple SORTBY steps are not allowed. Sort multiple fields in a single step",
                ));
            }
        }
        args.extend(["RETURN", "2", "$.data", "$.version"].map(Into::into));
        let mut offset = 0;
        if query.page.limit > 0 {
            let start = if query.page.token.is_empty() {
                "0"
            } else {
                &query.page.token
            };
            let start: u64 = start
                .parse()
                .map_err(|_| Error::invalid(format!("invalid page token: {start}")))?;
            args.extend([
                "LIMIT".into(),
                start.to_string(),
                query.page.limit.to_string(),
            ]);
            offset = start;
        }
        Ok(Self { args, offset })
    }

    /// Rows are a count, then key and fields in turn.
    fn page(&self, answer: Value) -> Result<QueryPage> {
        let Value::Array(rows) = answer else {
            return Err(Error::internal("redis answered a search without rows"));
        };
        let mut page = QueryPage::default();
        let mut rows = rows.into_iter().skip(1);
        while let (Some(key), Some(Value::Array(fields))) = (rows.next(), rows.next()) {
            let key = String::from_utf8_lossy(&bytes(key)?).into_owned();
            let mut item = QueryItem {
                key,
                ..QueryItem::default()
            };
            let mut fields = fields.into_iter();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                match &*bytes(name)? {
                    b"$.data" => item.data = bytes(value)?,
                    b"$.version" => {
                        item.etag = Some(String::from_utf8_lossy(&bytes(value)?).into_owned());
                    }
                    _ => {}
                }
            }
            page.results.push(item);
        }
        if !page.results.is_empty() {
            page.token = (self.offset + page.results.len() as u64).to_string();
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<Field> {
        let field = |key: &str, kind: &str| Field {
            key: key.into(),
            kind: kind.into(),
        };
        vec![field("person.org", "TEXT"), field("person.id", "NUMERIC")]
    }

    fn check(query: &str, expected: Result<&str, &str>) {
        let got = Search::build(query.as_bytes(), &fields()).map(|s| s.args.join(" "));
        let got = got.map_err(|e| e.message);
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{query}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{query}: {got}"),
            (got, _) => panic!("{query}: {got:?}"),
        }
    }

    #[test]
    fn documents_become_searches() {
        let ret = "RETURN 2 $.data $.version";
        check("{}", Ok(&format!("* {ret}")));
        check(
            r#"{"filter":{"EQ":{"person.org":"A"}}}"#,
            Ok(&format!("@var0:(A) {ret}")),
        );
        check(
            r#"{"filter":{"NEQ":{"person.org":"A"}}}"#,
            Ok(&format!("@var0:(A) {ret}")),
        );
        check(
            r#"{"filter":{"EQ":{"person.id":1.5}}}"#,
            Ok(&format!("@var1:[1.500000 1.500000] {ret}")),
        );
        check(
            r#"{"filter":{"AND":[{"NEQ":{"person.org":"A"}},{"GT":{"person.id":3}}]},"sort":[{"key":"person.id","order":"DESC"}],"page":{"limit":2,"token":"4"}}"#,
            Ok(&format!(
                "(-@var0:(A)) (@var1:[(3 +inf]) SORTBY var1 DESC {ret} LIMIT 4 2"
            )),
        );
        check(
            r#"{"filter":{"IN":{"person.org":["A","B"]}}}"#,
            Ok(&format!("@var0:(A|B) {ret}")),
        );
        check(
            r#"{"filter":{"IN":{"person.id":[1,2]}}}"#,
            Ok(&format!("@var1:[1 1]|@var1:[2 2] {ret}")),
        );
    }

    #[test]
    fn indexes_become_schemas() {
        let text = r#"[{"name":"orgs","indexes":[{"key":"person.org","type":"TEXT"},{"key":"person.id","type":"NUMERIC"}]}]"#;
        let indexes = Indexes::parse(text).unwrap();
        let schemas: Vec<_> = indexes
            .schemas()
            .map(|(n, args)| (n, args.join(" ")))
            .collect();
        let expected = "ON JSON SCHEMA $.data.person.org AS var0 TEXT SORTABLE \
                        $.data.person.id AS var1 NUMERIC SORTABLE";
        assert_eq!(schemas, [("orgs", expected.to_owned())]);
        assert!(Indexes::parse("").unwrap().0.is_empty());
        assert!(Indexes::parse(r#"{"name":"orgs"}"#).is_err());
    }

    #[test]
    fn bad_documents_are_refused() {
        for (query, expected) in [
            ("{", "failed to parse JSON query body"),
            (r#"{"filter":[]}"#, "filter unit must be a map"),
            (
                r#"{"filter":{"EQ":1,"NEQ":2}}"#,
                "filter unit must have a single element",
            ),
            (r#"{"filter":{"LIKE":{}}}"#, "unsupported filter \"LIKE\""),
            (r#"{"filter":{"EQ":1}}"#, "EQ filter must be a map"),
            (
                r#"{"filter":{"EQ":{"a":1,"b":2}}}"#,
                "EQ filter must contain a single key/value pair",
            ),
            (
                r#"{"filter":{"AND":[{}]}}"#,
                "AND filter must contain at least two entries",
            ),
            (
                r#"{"filter":{"IN":{"person.id":1}}}"#,
                "IN filter value must be an array",
            ),
            (
                r#"{"filter":{"IN":{"person.id":[1]}}}"#,
                "IN filter value must contain at least two entries",
            ),
            (
                r#"{"filter":{"GT":{"person.id":"x"}}}"#,
                "string type not permitted",
            ),
            (
                r#"{"filter":{"EQ":{"other":1}}}"#,
                "JSON path \"other\" is not indexed",
            ),
            (
                r#"{"sort":[{"key":"person.id"},{"key":"person.org"}]}"#,
                "multiple SORTBY steps",
            ),
        ] {
            check(query, Err(expected));
        }
    }

    #[test]
    fn rows_become_a_page() {
        let text = |t: &str| Value::BulkString(t.into());
        let row = Value::Array(vec![
            text("$.data"),
            text("{\"a\":1}"),
            text("$.version"),
            text("3"),
        ]);
        let search = Search {
            args: Vec::new(),
            offset: 2,
        };
        let page = search
            .page(Value::Array(vec![Value::Int(1), text("app||k"), row]))
            .unwrap();
        assert_eq!(
            (page.results[0].key.as_str(), page.token.as_str()),
            ("app||k", "3")
        );
        assert_eq!(page.results[0].etag.as_deref(), Some("3"));
    }
}
