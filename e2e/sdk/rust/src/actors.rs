//! An actor type, hosted over HTTP, and a client of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dapr::server::DaprHttpServer;
use dapr::server::actor::context_client::{ActorContextClient, ActorStateOperation};
use dapr::server::actor::runtime::ActorTypeRegistration;
use dapr::server::actor::{Actor, ActorError};
use dapr::server::utils::DaprJson;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Client, Error};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    total: i64,
    wakes: u64,
    timer: Option<String>,
    reminder: Option<String>,
}

#[dapr_macros::actor]
struct Counter {
    client: ActorContextClient,
}

fn failed(error: impl std::error::Error + 'static) -> ActorError {
    ActorError::MethodError(Box::new(error))
}

/// What the app gave as bytes comes back as the text that JSON has for them.
fn decoded(data: &[u8]) -> Result<Option<String>, ActorError> {
    let text = data.strip_prefix(b"\"").unwrap_or(data);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    let bytes = STANDARD.decode(text).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

impl Counter {
    async fn read(&self) -> Result<Seen, ActorError> {
        let mut client = self.client.clone();
        let found = client.get_actor_state("seen").await.map_err(failed)?;
        match found.data.as_slice() {
            [] => Ok(Seen::default()),
            data => serde_json::from_slice(data).map_err(failed),
        }
    }

    async fn write(&self, seen: &Seen) -> Result<(), ActorError> {
        let value = Some(serde_json::to_vec(seen).map_err(failed)?);
        let key = "seen".to_owned();
        let operations = vec![ActorStateOperation::Upsert { key, value }];
        let mut client = self.client.clone();
        let written = client.execute_actor_state_transaction(operations).await;
        written.map_err(failed)
    }

    async fn add(&self, DaprJson(number): DaprJson<i64>) -> Result<Json<i64>, ActorError> {
        let mut seen = self.read().await?;
        seen.total += number;
        self.write(&seen).await?;
        Ok(Json(seen.total))
    }

    async fn fail(&self) -> Result<Json<()>, ActorError> {
        Err(ActorError::CorruptedState)
    }

    async fn start(&self) -> Result<Json<()>, ActorError> {
        let mut client = self.client.clone();
        let data = b"from the timer".to_vec();
        let timer = client.register_actor_timer("tick", SECOND, SECOND, data, None, None);
        timer.await.map_err(failed)?;
        let data = b"from the reminder".to_vec();
        let reminder =
            client.register_actor_reminder("wake", SECOND, SECOND, data, None, None, None);
        reminder.await.map_err(failed)?;
        Ok(Json(()))
    }

    async fn stop(&self) -> Result<Json<()>, ActorError> {
        let mut client = self.client.clone();
        client
            .unregister_actor_timer("tick")
            .await
            .map_err(failed)?;
        let reminder = client.unregister_actor_reminder("wake").await;
        reminder.map_err(failed)?;
        Ok(Json(()))
    }

    async fn seen(&self) -> Result<Json<Seen>, ActorError> {
        Ok(Json(self.read().await?))
    }
}

#[async_trait]
impl Actor for Counter {
    async fn on_activate(&self) -> Result<(), ActorError> {
        Ok(())
    }

    async fn on_deactivate(&self) -> Result<(), ActorError> {
        Ok(())
    }

    async fn on_reminder(&self, _: &str, data: Vec<u8>) -> Result<(), ActorError> {
        let mut seen = self.read().await?;
        seen.reminder = decoded(&data)?;
        seen.wakes += 1;
        self.write(&seen).await
    }

    async fn on_timer(&self, _: &str, data: Vec<u8>) -> Result<(), ActorError> {
        let mut seen = self.read().await?;
        seen.timer = decoded(&data)?;
        self.write(&seen).await
    }
}

/// Serves until it is killed.
pub async fn host() -> Result<(), Error> {
    let mut server = DaprHttpServer::new().await;
    let counter = ActorTypeRegistration::new::<Counter>(
        "Counter",
        Box::new(|_, _, client| Arc::new(Counter { client })),
    );
    let counter = counter
        .register_method("add", Counter::add)
        .register_method("fail", Counter::fail)
        .register_method("start", Counter::start)
        .register_method("stop", Counter::stop)
        .register_method("seen", Counter::seen);
    server.register_actor(counter).await;
    server.start(None).await
}

async fn call<T>(client: &mut Client, method: &str, input: impl Serialize) -> Result<T, Error>
where
    T: for<'a> Deserialize<'a>,
{
    let called = client.invoke_actor("Counter", "7", method, input, None);
    Ok(called.await?)
}

async fn until(client: &mut Client, done: impl Fn(&Seen) -> bool) -> Result<Seen, Error> {
    let wait = async {
        loop {
            let seen = call(client, "seen", ()).await?;
            if done(&seen) {
                return Ok(seen);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await?
}

pub async fn actors(client: &mut Client) -> Result<Value, Error> {
    let first: i64 = call(client, "add", 5).await?;
    let second: i64 = call(client, "add", 2).await?;
    let failed = match call::<()>(client, "fail", ()).await {
        Ok(()) => false,
        Err(error) => format!("{error:?}").contains("error invoke actor method"),
    };
    call::<()>(client, "start", ()).await?;
    let seen = until(client, |seen| {
        seen.timer.is_some() && seen.reminder.is_some()
    })
    .await?;
    let Seen {
        timer, reminder, ..
    } = seen;
    Ok(json!({
        "totals": [first, second], "failed": failed, "timer": timer, "reminder": reminder,
    }))
}

pub async fn actors_later(client: &mut Client) -> Result<Value, Error> {
    let before: Seen = call(client, "seen", ()).await?;
    until(client, |seen| seen.wakes > before.wakes).await?;
    call::<()>(client, "stop", ()).await?;
    Ok(json!({ "total": before.total, "reminded": true }))
}

pub async fn actors_idle(client: &mut Client) -> Result<Value, Error> {
    let total: i64 = call(client, "add", 1).await?;
    Ok(json!({ "total": total }))
}
