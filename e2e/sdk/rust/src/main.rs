//! A user of the Rust SDK, over gRPC.

mod actors;
mod jobs;

use dapr::client::{
    Etag, InvokeServiceRequest, StateItem, TonicClient as Stub, TonicClientWithAuth,
};
use dapr::dapr::proto::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use dapr::dapr::proto::runtime::v1::{
    ExecuteStateTransactionRequest, GetBulkStateRequest, TransactionalStateOperation,
};
use serde_json::{Map, Value, json};

type Client = dapr::Client<TonicClientWithAuth>;
type Error = Box<dyn std::error::Error>;

const STORE: &str = "statestore";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let subject = std::env::args().nth(1).unwrap_or_default();
    if subject == "host" {
        return actors::host().await;
    }
    let port = std::env::var("DAPR_GRPC_PORT")?;
    let address = format!("http://127.0.0.1:{port}");
    let mut client = Client::new().await?;
    // What the SDK's own client does not offer goes through its generated stub.
    let mut stub = Stub::connect(address).await?;
    let result = match subject.as_str() {
        "state" => state(&mut client, &mut stub).await?,
        "secrets" => secrets(&mut client).await?,
        "metadata" => metadata(&mut client).await?,
        "invoke" => invoke(&mut stub).await?,
        "actors" => actors::actors(&mut client).await?,
        "actors-later" => actors::actors_later(&mut client).await?,
        "actors-idle" => actors::actors_idle(&mut client).await?,
        "jobs" => jobs::jobs(&mut client).await?,
        other => return Err(format!("no subject {other:?}").into()),
    };
    println!("{result}");
    Ok(())
}

fn text(data: &[u8]) -> Value {
    match data {
        [] => Value::Null,
        data => String::from_utf8_lossy(data).into(),
    }
}

async fn get(client: &mut Client, key: &str) -> Result<Value, Error> {
    Ok(text(&client.get_state(STORE, key, None).await?.data))
}

fn item(key: &str, value: &str) -> StateItem {
    StateItem {
        key: key.to_owned(),
        value: value.into(),
        ..StateItem::default()
    }
}

fn operation(kind: &str, request: StateItem) -> TransactionalStateOperation {
    TransactionalStateOperation {
        operation_type: kind.to_owned(),
        request: Some(request),
    }
}

async fn state(client: &mut Client, stub: &mut Stub) -> Result<Value, Error> {
    let save = async |client: &mut Client, value: &str, etag: Option<Etag>| {
        let value = value.as_bytes().to_vec();
        client
            .save_state(STORE, "key", value, etag, None, None)
            .await
    };
    save(client, "one", None).await?;
    let first = client.get_state(STORE, "key", None).await?;
    let etag = Some(Etag {
        value: first.etag.clone(),
    });
    save(client, "two", etag.clone()).await?;
    let stale = match save(client, "three", etag).await {
        Ok(()) => "accepted".to_owned(),
        Err(error) if format!("{error:?}").contains("Aborted") => "ABORTED".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    let fresh = get(client, "key").await?;
    client
        .save_bulk_states(STORE, vec![item("a", "1"), item("b", "2")])
        .await?;

    let request = GetBulkStateRequest {
        store_name: STORE.to_owned(),
        keys: ["a", "b", "none"].map(str::to_owned).into(),
        parallelism: 2,
        ..GetBulkStateRequest::default()
    };
    let items = stub.get_bulk_state(request).await?.into_inner().items;
    let bulk: Map<_, _> = items
        .into_iter()
        .map(|item| (item.key, text(&item.data)))
        .collect();

    stub.execute_state_transaction(ExecuteStateTransactionRequest {
        store_name: STORE.to_owned(),
        operations: vec![
            operation("upsert", item("c", "3")),
            operation("delete", item("a", "")),
        ],
        ..ExecuteStateTransactionRequest::default()
    })
    .await?;
    let after = [get(client, "c").await?, get(client, "a").await?];
    client.delete_state(STORE, "key", None).await?;
    Ok(json!({
        "first": text(&first.data), "stale": stale, "fresh": fresh, "bulk": bulk,
        "after": after, "deleted": get(client, "key").await?,
    }))
}

async fn secrets(client: &mut Client) -> Result<Value, Error> {
    let one = client.get_secret("vault", "db-password").await?.data;
    let all = client.get_bulk_secret("vault", None).await?.data;
    let mut names: Vec<_> = all.into_keys().collect();
    names.sort();
    Ok(json!({ "one": one, "names": names }))
}

async fn metadata(client: &mut Client) -> Result<Value, Error> {
    client.set_metadata("owner", "team a").await?;
    let found = client.get_metadata().await?;
    let mut names: Vec<_> = found
        .registered_components
        .into_iter()
        .map(|component| component.name)
        .collect();
    names.sort();
    Ok(json!({
        "id": found.id, "owner": found.extended_metadata.get("owner"), "components": names,
    }))
}

async fn invoke(stub: &mut Stub) -> Result<Value, Error> {
    let mut message = InvokeRequest {
        method: "greet".to_owned(),
        content_type: "text/plain".to_owned(),
        http_extension: Some(HttpExtension {
            verb: Verb::Post.into(),
            ..HttpExtension::default()
        }),
        ..InvokeRequest::default()
    };
    // The SDK does not export the type of this field.
    message.data.get_or_insert_default().value = b"world".into();
    let request = InvokeServiceRequest {
        id: std::env::var("CALLEE")?,
        message: Some(message),
    };
    let reply = stub.invoke_service(request).await?.into_inner();
    Ok(json!({ "reply": text(&reply.data.unwrap_or_default().value) }))
}
