//! All objects of a kind, page by page.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{Client, Error, Kind};

const PAGE: usize = 500;
/// More objects than any cluster is built for.
const MOST_OBJECTS: usize = 1_000_000;

/// What every object begins with; servers leave out what is empty.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) resource_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Head {
    pub(crate) metadata: Meta,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: ListMeta,
    // It may be null.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

impl Client {
    /// All objects of a kind, in one namespace or in all of them.
    pub async fn all<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.list(kind, namespace, |item| {
            all.push(serde_json::from_str(item.get())?);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// Shows every object to `each`, and answers the version of the list, which
    /// is empty when the server has none.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        mut each: impl FnMut(&RawValue) -> Result<(), Error>,
    ) -> Result<String, Error> {
        let path = kind.path(namespace)?;
        let mut target = format!("{path}?limit={PAGE}");
        let mut left = MOST_OBJECTS;
        loop {
            let page = self.text(Method::GET, &target, Vec::new()).await?;
            let page: List<'_> = serde_json::from_slice(&page)?;
            let items = page.items.unwrap_or_default();
            left = left
                .checked_sub(items.len())
                .ok_or(Error::TooLong(MOST_OBJECTS))?;
            for item in &items {
                each(item)?;
            }
            let ListMeta {
                resource_version,
                r#continue,
            } = page.metadata;
            // A page without objects that promises more would never end.
            if r#continue.is_empty() || items.is_empty() {
                return Ok(resource_version);
            }
            let rest = utf8_percent_encode(&r#continue, NON_ALPHANUMERIC);
            target = format!("{path}?limit={PAGE}&continue={rest}");
        }
    }
}
