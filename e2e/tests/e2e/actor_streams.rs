//! Actors of an app without a port, which opens a stream to its sidecar and gets its
//! calls there.

use anyhow::ensure;
use e2e::{Plane, Sidecar};
use proto::dapr::runtime::v1 as rt;
use rt::dapr_client::DaprClient;
use rt::subscribe_actor_events_request_alpha1::RequestType as Says;
use rt::subscribe_actor_events_response_alpha1::ResponseType as Asked;
use serde_json::json;
use testkit::{DEADLINE, Reply, eventually};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// The app's end of a stream.
struct Stream {
    says: mpsc::Sender<rt::SubscribeActorEventsRequestAlpha1>,
    asked: Streaming<rt::SubscribeActorEventsResponseAlpha1>,
}

fn message(says: Says) -> rt::SubscribeActorEventsRequestAlpha1 {
    rt::SubscribeActorEventsRequestAlpha1 {
        request_type: Some(says),
    }
}

impl Stream {
    async fn try_open(sidecar: &Sidecar, first: Says) -> Result<Self, Status> {
        let address = format!("http://127.0.0.1:{}", sidecar.grpc);
        let mut client: DaprClient<Channel> = DaprClient::connect(address).await.unwrap();
        let (says, messages) = mpsc::channel(16);
        says.send(message(first)).await.unwrap();
        let asked = client.subscribe_actor_events_alpha1(ReceiverStream::new(messages));
        let asked = asked.await?.into_inner();
        Ok(Self { says, asked })
    }

    /// A stream of an app that hosts `Counter`.
    async fn open(sidecar: &Sidecar) -> Self {
        Self::open_with(sidecar, initial()).await
    }

    async fn open_with(
        sidecar: &Sidecar,
        initial: rt::SubscribeActorEventsRequestInitialAlpha1,
    ) -> Self {
        let stream = Self::try_open(sidecar, Says::InitialRequest(initial)).await;
        let mut stream = stream.unwrap();
        let first = stream.asked().await;
        assert!(matches!(first, Asked::InitialResponse(_)), "{first:?}");
        stream
    }

    async fn asked(&mut self) -> Asked {
        let message = tokio::time::timeout(DEADLINE, self.asked.message()).await;
        let message = message.expect("nothing is asked").unwrap();
        message.unwrap().response_type.unwrap()
    }

    async fn invoked(&mut self) -> rt::SubscribeActorEventsResponseInvokeRequestAlpha1 {
        match self.asked().await {
            Asked::InvokeRequest(call) => call,
            other => panic!("{other:?}"),
        }
    }

    async fn say(&self, says: Says) {
        self.says.send(message(says)).await.unwrap();
    }

    async fn answer(&self, id: &str, data: &str) {
        self.say(Says::InvokeResponse(
            rt::SubscribeActorEventsRequestInvokeResponseAlpha1 {
                id: id.into(),
                data: data.to_owned().into(),
                ..Default::default()
            },
        ))
        .await;
    }
}

fn initial() -> rt::SubscribeActorEventsRequestInitialAlpha1 {
    rt::SubscribeActorEventsRequestInitialAlpha1 {
        entities: vec!["Counter".into()],
        ..Default::default()
    }
}

async fn sidecar(plane: &Plane) -> Sidecar {
    let metadata = [("actorStateStore", "true")];
    let sidecar = plane.sidecar("portless");
    let sidecar = sidecar.component("statestore", "state.in-memory", &metadata);
    sidecar.start().ready().await
}

async fn add(sidecar: &Sidecar) -> Reply {
    let http = sidecar.http().header("x-note", "kept");
    http.post("/v1.0/actors/Counter/7/method/add", "1")
        .await
        .unwrap()
}

#[tokio::test]
async fn calls_go_over_the_stream_and_their_answers_come_back() {
    let plane = Plane::start().await;
    let sidecar = sidecar(&plane).await;
    let mut stream = Stream::open(&sidecar).await;
    let (reply, ()) = tokio::join!(add(&sidecar), async {
        let call = stream.invoked().await;
        let asked = [&*call.actor_type, &*call.actor_id, &*call.method];
        assert_eq!(
            (asked, &call.data[..]),
            (["Counter", "7", "add"], &b"1"[..])
        );
        assert_eq!(call.metadata["x-note"], "kept");
        let answer = rt::SubscribeActorEventsRequestInvokeResponseAlpha1 {
            id: call.id,
            data: "12".into(),
            metadata: [("content-type".to_owned(), "application/json".to_owned())].into(),
            error: false,
        };
        stream.say(Says::InvokeResponse(answer)).await;
    });
    let reply = reply.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json(), json!(12));
    for (code, message, expected) in [
        (5, "none of it is shown", "actor method not found: add"),
        (2, "it broke", "error from actor service: it broke"),
    ] {
        let (reply, ()) = tokio::join!(add(&sidecar), async {
            let id = stream.invoked().await.id;
            let message = message.to_owned();
            let failed = rt::SubscribeActorEventsRequestFailedAlpha1 { id, code, message };
            stream.say(Says::RequestFailed(failed)).await;
        });
        let shown = reply.expect_error(500, "ERR_ACTOR_INVOKE_METHOD");
        assert!(shown.ends_with(expected), "{shown}");
    }
}

#[tokio::test]
async fn reminders_and_timers_come_over_the_stream() {
    let plane = Plane::start().await;
    let sidecar = sidecar(&plane).await;
    let mut stream = Stream::open(&sidecar).await;
    let http = sidecar.http();
    let actor = "/v1.0/actors/Counter/7";
    let event = json!({"dueTime": "0s", "period": "1h", "data": {"a": 1}, "callback": "tick"});
    let path = format!("{actor}/reminders/close");
    http.post_json(&path, &event)
        .await
        .unwrap()
        .expect_status(204);
    let Asked::ReminderRequest(reminder) = stream.asked().await else {
        panic!("no reminder");
    };
    assert_eq!((&*reminder.actor_id, &*reminder.name), ("7", "close"));
    let data = reminder.data.unwrap();
    assert_eq!(
        data.type_url,
        "type.googleapis.com/google.protobuf.BytesValue"
    );
    assert!(data.value.ends_with(br#"{"a":1}"#), "{data:?}");
    let done = |id| rt::SubscribeActorEventsRequestReminderResponseAlpha1 { id, cancel: false };
    stream.say(Says::ReminderResponse(done(reminder.id))).await;
    let path = format!("{actor}/timers/ticking");
    http.post_json(&path, &event)
        .await
        .unwrap()
        .expect_status(204);
    let Asked::TimerRequest(timer) = stream.asked().await else {
        panic!("no timer");
    };
    assert_eq!((&*timer.name, &*timer.callback), ("ticking", "tick"));
    stream.say(Says::TimerResponse(done(timer.id))).await;
}

#[tokio::test]
async fn an_idle_actor_is_deactivated_over_the_stream() {
    let plane = Plane::start().await;
    let sidecar = sidecar(&plane).await;
    let initial = rt::SubscribeActorEventsRequestInitialAlpha1 {
        actor_idle_timeout: Some(prost_types::Duration {
            seconds: 0,
            nanos: 200_000_000,
        }),
        ..initial()
    };
    let mut stream = Stream::open_with(&sidecar, initial).await;
    let (reply, ()) = tokio::join!(add(&sidecar), async {
        let id = stream.invoked().await.id;
        stream.answer(&id, "1").await;
    });
    reply.expect_status(200);
    let Asked::DeactivateRequest(gone) = stream.asked().await else {
        panic!("no deactivation");
    };
    assert_eq!((&*gone.actor_type, &*gone.actor_id), ("Counter", "7"));
    let id = gone.id;
    let told = rt::SubscribeActorEventsRequestDeactivateResponseAlpha1 { id };
    stream.say(Says::DeactivateResponse(told)).await;
    eventually(DEADLINE, async || {
        let name = "dapr_runtime_actor_deactivated_total";
        ensure!(
            e2e::metric(&sidecar, name, &[]).await? == 1.0,
            "not counted"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_stream_fails_its_calls_and_the_next_stream_gets_new_ones() {
    let plane = Plane::start().await;
    let sidecar = sidecar(&plane).await;
    let mut first = Stream::open(&sidecar).await;
    let (reply, ()) = tokio::join!(add(&sidecar), async {
        first.invoked().await;
        drop(first);
    });
    let shown = reply.expect_error(500, "ERR_ACTOR_INVOKE_METHOD");
    assert!(!shown.is_empty());
    let mut second = Stream::open(&sidecar).await;
    let mut third = Stream::open(&sidecar).await;
    let (reply, ()) = tokio::join!(add(&sidecar), async {
        let id = third.invoked().await.id;
        third.answer(&id, "third").await;
    });
    assert_eq!(
        reply.expect_status(200).text(),
        "third",
        "the newest is asked"
    );
    drop(third);
    // Until the sidecar has seen that it ended, calls of it fail.
    eventually(DEADLINE, async || {
        let (reply, ()) = tokio::join!(add(&sidecar), async {
            // A call that found the ended stream is not asked here.
            let asked = tokio::time::timeout(DEADLINE / 10, second.invoked()).await;
            if let Ok(call) = asked {
                second.answer(&call.id, "second").await;
            }
        });
        ensure!(reply.text() == "second", "{}", reply.text());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_begins_with_something_else_is_refused() {
    let plane = Plane::start().await;
    let sidecar = sidecar(&plane).await;
    let answer = rt::SubscribeActorEventsRequestDeactivateResponseAlpha1 { id: "1".into() };
    let refused = Stream::try_open(&sidecar, Says::DeactivateResponse(answer)).await;
    let refused = refused.err().expect("it is refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
}
