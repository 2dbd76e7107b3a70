//! Actors behind a stream that the app opened: requests go out with an id, the
//! answers come back with it in any order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::Error;
use actors::call::{APP_ERROR_HEADER, Actor, App as Hosting, Fire, Fired, Invoke, Reply};
use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use proto::dapr::runtime::v1 as rt;
use rt::subscribe_actor_events_request_alpha1::RequestType as Answered;
use rt::subscribe_actor_events_response_alpha1::ResponseType as Asked;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

const SCOPE: &str = "dapr.runtime.actors.callbackstream";
/// The gRPC code by which an app says that an actor has no such method.
const NOT_FOUND: u32 = 5;

pub(crate) type Message = Result<rt::SubscribeActorEventsResponseAlpha1, Status>;

/// The streams that are open, the newest last.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<Vec<Arc<Stream>>>>,
}

/// One stream and what was asked on it.
pub(crate) struct Stream {
    outgoing: mpsc::Sender<Message>,
    next: AtomicU64,
    /// `None` once the stream has ended.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answered>>>>,
}

impl Streams {
    /// Lets new requests go over this stream.
    pub(crate) fn open(&self, outgoing: mpsc::Sender<Message>) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            outgoing,
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
        });
        self.open.lock().push(stream.clone());
        stream
    }

    /// Ends a stream; who waits for its answers is told.
    pub(crate) fn close(&self, stream: &Arc<Stream>) {
        self.open.lock().retain(|open| !Arc::ptr_eq(open, stream));
        stream.waiting.lock().take();
    }

    async fn ask(&self, request: impl FnOnce(String) -> Asked) -> Result<Answered, Error> {
        let newest = self.open.lock().last().cloned();
        newest.ok_or(Error::HostNotConnected)?.ask(request).await
    }
}

/// Forgets a request whose caller no longer waits.
struct Forget<'a>(&'a Stream, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.waiting.lock().as_mut() {
            waiting.remove(&self.1);
        }
    }
}

impl Stream {
    async fn ask(&self, request: impl FnOnce(String) -> Asked) -> Result<Answered, Error> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(Error::HostDisconnected),
        };
        let _forget = Forget(self, id);
        let message = rt::SubscribeActorEventsResponseAlpha1 {
            response_type: Some(request(id.to_string())),
        };
        let sent = self.outgoing.send(Ok(message)).await;
        sent.map_err(|_| Error::HostDisconnected)?;
        match answer.await.map_err(|_| Error::HostDisconnected)? {
            Answered::RequestFailed(failed) if failed.code == NOT_FOUND => {
                Err(Error::MethodNotFound(String::new()))
            }
            Answered::RequestFailed(failed) => Err(Error::App {
                status: None,
                text: failed.message,
            }),
            answered => Ok(answered),
        }
    }

    /// Hands an answer to who waits for it.
    pub(crate) fn answered(&self, message: rt::SubscribeActorEventsRequestAlpha1) {
        let Some(answered) = message.request_type else {
            return;
        };
        let (id, kind) = match &answered {
            Answered::InitialRequest(_) => ("", "initial"),
            Answered::InvokeResponse(m) => (&*m.id, "invoke"),
            Answered::ReminderResponse(m) => (&*m.id, "reminder"),
            Answered::TimerResponse(m) => (&*m.id, "timer"),
            Answered::DeactivateResponse(m) => (&*m.id, "deactivate"),
            Answered::RequestFailed(m) => (&*m.id, "failed"),
        };
        if id.is_empty() {
            tracing::warn!(target: SCOPE, "Dropping actor callback response without correlation id: {kind}");
            return;
        }
        let mut waiting = self.waiting.lock();
        let number = id.parse::<u64>().ok();
        match number.and_then(|id| waiting.as_mut()?.remove(&id)) {
            // A caller that went away in this moment misses nothing.
            Some(sender) => drop(sender.send(answered)),
            None => {
                tracing::warn!(target: SCOPE, "Dropping actor callback response with unknown id={id}");
            }
        }
    }
}

/// One value per name: the first.
fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, value) in headers {
        let value = || String::from_utf8_lossy(value.as_bytes()).into_owned();
        out.entry(name.as_str().to_owned()).or_insert_with(value);
    }
    out
}

fn reply(answer: rt::SubscribeActorEventsRequestInvokeResponseAlpha1) -> Reply {
    let mut headers = HeaderMap::with_capacity(answer.metadata.len());
    let mut content_type = String::new();
    for (name, value) in answer.metadata {
        if name.eq_ignore_ascii_case("content-type") {
            content_type = value;
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value))
        {
            headers.insert(name, value);
        }
    }
    if answer.error {
        headers.insert(APP_ERROR_HEADER, HeaderValue::from_static("true"));
    }
    Reply {
        headers,
        content_type,
        body: answer.data,
    }
}

fn any(fire: &Fire) -> Option<prost_types::Any> {
    fire.data.as_ref().map(|data| prost_types::Any {
        type_url: data.type_url.clone(),
        value: data.value.to_vec(),
    })
}

fn fired(answer: &rt::SubscribeActorEventsRequestReminderResponseAlpha1) -> Fired {
    match answer.cancel {
        true => Fired::Canceled,
        false => Fired::Done,
    }
}

#[async_trait]
impl Hosting for Streams {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        let request = |id| {
            Asked::InvokeRequest(rt::SubscribeActorEventsResponseInvokeRequestAlpha1 {
                id,
                actor_type: call.actor.kind.to_string(),
                actor_id: call.actor.id.to_string(),
                method: call.method.clone(),
                data: call.body.clone(),
                metadata: metadata(&call.headers),
            })
        };
        match self.ask(request).await {
            Ok(Answered::InvokeResponse(answer)) => Ok(reply(answer)),
            Ok(_) => Err(Error::UnexpectedResponse("invoke")),
            Err(Error::MethodNotFound(_)) => Err(Error::MethodNotFound(call.method.clone())),
            Err(e) => Err(e),
        }
    }

    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error> {
        let request = |id| {
            Asked::ReminderRequest(rt::SubscribeActorEventsResponseReminderRequestAlpha1 {
                id,
                actor_type: fire.actor.kind.to_string(),
                actor_id: fire.actor.id.to_string(),
                name: fire.name.clone(),
                due_time: fire.due_time.clone(),
                period: fire.period.clone(),
                data: any(fire),
            })
        };
        match self.ask(request).await {
            Ok(Answered::ReminderResponse(answer)) => Ok(fired(&answer)),
            Ok(_) => Err(Error::UnexpectedResponse("reminder")),
            Err(Error::MethodNotFound(_)) => Err(Error::MethodNotFound(fire.name.clone())),
            Err(e) => Err(e),
        }
    }

    async fn timer(&self, fire: &Fire) -> Result<Fired, Error> {
        let request = |id| {
            Asked::TimerRequest(rt::SubscribeActorEventsResponseTimerRequestAlpha1 {
                id,
                actor_type: fire.actor.kind.to_string(),
                actor_id: fire.actor.id.to_string(),
                name: fire.name.clone(),
                due_time: fire.due_time.clone(),
                period: fire.period.clone(),
                callback: fire.callback.clone(),
                data: any(fire),
            })
        };
        match self.ask(request).await {
            Ok(Answered::TimerResponse(answer)) => Ok(fired(&answer)),
            Ok(_) => Err(Error::UnexpectedResponse("timer")),
            Err(Error::MethodNotFound(_)) => Err(Error::MethodNotFound(fire.name.clone())),
            Err(e) => Err(e),
        }
    }

    async fn deactivate(&self, actor: &Actor) -> Result<(), Error> {
        let request = |id| {
            Asked::DeactivateRequest(rt::SubscribeActorEventsResponseDeactivateRequestAlpha1 {
                id,
                actor_type: actor.kind.to_string(),
                actor_id: actor.id.to_string(),
            })
        };
        self.ask(request).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::Receiver;

    use super::*;

    fn call(method: &str) -> Invoke {
        Invoke::new(Actor::new("Cart", "7"), method)
    }

    /// The next request on a stream: its id and its method.
    async fn asked(events: &mut Receiver<Message>) -> (String, String) {
        let message = events.recv().await.unwrap().unwrap();
        match message.response_type {
            Some(Asked::InvokeRequest(asked)) => (asked.id, asked.method),
            other => panic!("{other:?}"),
        }
    }

    fn answer(id: &str, data: &'static str) -> rt::SubscribeActorEventsRequestAlpha1 {
        let answer = rt::SubscribeActorEventsRequestInvokeResponseAlpha1 {
            id: id.to_owned(),
            data: data.into(),
            metadata: BTreeMap::from([("Content-Type".to_owned(), "text/plain".to_owned())]),
            error: data == "mine",
        };
        rt::SubscribeActorEventsRequestAlpha1 {
            request_type: Some(Answered::InvokeResponse(answer)),
        }
    }

    fn failed(id: &str, code: u32) -> rt::SubscribeActorEventsRequestAlpha1 {
        let failed = rt::SubscribeActorEventsRequestFailedAlpha1 {
            id: id.to_owned(),
            code,
            message: "no".into(),
        };
        rt::SubscribeActorEventsRequestAlpha1 {
            request_type: Some(Answered::RequestFailed(failed)),
        }
    }

    #[tokio::test]
    async fn answers_find_their_questions_in_any_order() {
        let streams = Streams::default();
        let (outgoing, mut events) = mpsc::channel(8);
        let stream = streams.open(outgoing);
        let (first, second) = (call("first"), call("second"));
        let app = async {
            let (one, method) = asked(&mut events).await;
            assert_eq!((&*one, &*method), ("1", "first"));
            let (two, _) = asked(&mut events).await;
            stream.answered(answer("77", "nobody asked"));
            stream.answered(answer(&two, "mine"));
            stream.answered(answer(&one, "yours"));
        };
        let (first, second, ()) =
            tokio::join!(streams.invoke(&first), streams.invoke(&second), app);
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(
            (&first.body[..], &*first.content_type),
            (&b"yours"[..], "text/plain")
        );
        assert!(second.is_app_error() && !first.is_app_error());
    }

    #[tokio::test]
    async fn the_app_says_what_failed() {
        let streams = Streams::default();
        let (outgoing, mut events) = mpsc::channel(8);
        let stream = streams.open(outgoing);
        for (code, expected) in [
            (5, "actor method not found: add"),
            (2, "error from actor service: no"),
        ] {
            let add = call("add");
            let app = async {
                let (id, _) = asked(&mut events).await;
                stream.answered(failed(&id, code));
            };
            let (answer, ()) = tokio::join!(streams.invoke(&add), app);
            assert_eq!(answer.unwrap_err().to_string(), expected);
        }
        let fire = Fire {
            actor: Actor::new("Cart", "7"),
            name: "expire".into(),
            data: None,
            due_time: String::new(),
            period: String::new(),
            callback: String::new(),
            is_timer: false,
            skip_lock: false,
        };
        let app = async {
            let message = events.recv().await.unwrap().unwrap().response_type;
            let Some(Asked::ReminderRequest(asked)) = message else {
                panic!("{message:?}");
            };
            stream.answered(answer(&asked.id, "wrong kind"));
        };
        let (fired, ()) = tokio::join!(streams.reminder(&fire), app);
        let expected = "actor host returned an unexpected response type for reminder";
        assert_eq!(fired.unwrap_err().to_string(), expected);
    }

    #[tokio::test]
    async fn the_newest_stream_is_asked_and_an_ended_one_fails_its_calls() {
        let streams = Streams::default();
        let add = call("add");
        let none = streams.invoke(&add).await.unwrap_err();
        assert_eq!(none.to_string(), "actor host is not connected");
        let (outgoing, mut old) = mpsc::channel(8);
        let first = streams.open(outgoing);
        let app = async {
            asked(&mut old).await;
            streams.close(&first);
        };
        let (ended, ()) = tokio::join!(streams.invoke(&add), app);
        assert_eq!(
            ended.unwrap_err().to_string(),
            "actor host disconnected before responding"
        );
        let (outgoing, mut old) = mpsc::channel(8);
        let _first = streams.open(outgoing);
        let (outgoing, mut new) = mpsc::channel(8);
        let second = streams.open(outgoing);
        let app = async {
            let (id, _) = asked(&mut new).await;
            second.answered(answer(&id, "new"));
        };
        let (answered, ()) = tokio::join!(streams.invoke(&add), app);
        assert_eq!(answered.unwrap().body, "new");
        assert!(old.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_is_forgotten() {
        let streams = Streams::default();
        let (outgoing, mut events) = mpsc::channel(8);
        let stream = streams.open(outgoing);
        let add = call("add");
        tokio::select! {
            biased;
            _ = streams.invoke(&add) => panic!("nobody answered"),
            _ = asked(&mut events) => {}
        }
        let waiting = stream.waiting.lock().as_ref().map(HashMap::len);
        assert_eq!(waiting, Some(0));
    }
}
