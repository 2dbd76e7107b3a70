mod durability;
mod files;
mod grouping;
mod layout;
mod suite;

use std::path::Path;

use bytes::Bytes;
use component::state::{GetRequest, Item, SetRequest, StateStore, Value};
use component::{Component, Env, Result};

use crate::{Config, Sqlite};

async fn open(config: Config) -> Result<Sqlite> {
    Sqlite::open(config, Env::named("store")).await
}

async fn open_at(path: &Path) -> Sqlite {
    open(Config::at(path.to_str().unwrap())).await.unwrap()
}

fn json(key: &str, text: &str) -> SetRequest {
    SetRequest::new(key, Value::Json(Bytes::copy_from_slice(text.as_bytes())))
}

async fn get(store: &Sqlite, key: &str) -> Option<Item> {
    store
        .get(GetRequest {
            key: key.into(),
            ..GetRequest::default()
        })
        .await
        .unwrap()
}

async fn text(store: &Sqlite, key: &str) -> Option<String> {
    get(store, key)
        .await
        .map(|item| String::from_utf8(item.data.to_vec()).unwrap())
}
