mod calls;
mod layout;
mod refusals;
mod tls;

use std::sync::OnceLock;

use component::metadata::{Properties, decode};
use component::state::{GetRequest, Item, SetRequest, StateStore, Value};
use component::{Component, Env, Result};
use testkit::postgres::{Postgres, installed, start};
use tokio_postgres::{Client, NoTls};

use super::*;

/// One server for all tests of this program, each with tables of its own.
fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    if !installed() {
        testkit::skip("PostgreSQL is not installed; apt-get install postgresql");
        return None;
    }
    Some(SERVER.get_or_init(|| start().unwrap()))
}

async fn open<T: Component>(properties: &[(&str, &str)]) -> Result<T> {
    let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
    T::open(decode(&properties)?, Env::named("store")).await
}

/// A connection of its own, to look behind the store.
async fn raw(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(connection);
    client
}

fn json(key: &str, text: &str) -> SetRequest {
    SetRequest::new(key, Value::Json(text.to_owned().into()))
}

fn key(key: &str) -> GetRequest {
    GetRequest {
        key: key.into(),
        ..GetRequest::default()
    }
}

async fn get(store: &dyn StateStore, name: &str) -> Option<Item> {
    store.get(key(name)).await.unwrap()
}

async fn text(store: &dyn StateStore, name: &str) -> Option<String> {
    get(store, name)
        .await
        .map(|item| String::from_utf8(item.data.to_vec()).unwrap())
}
