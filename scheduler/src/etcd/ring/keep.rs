//! Doing what the machine says: calls to etcd, the watch of the keys, and terms.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use prost::Message;
use proto::dapr::scheduler::v1::Host;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::{Effect, Event, LEASE, Me, Ring, Write};
use super::{Member, Term};
use crate::etcd::client::{Client, Error, Lost, Watch};
use crate::etcd::keys::{LEADERSHIP, end_of};
use crate::etcd::requests;
use crate::etcd::wire::etcdserverpb::TxnRequest;
use crate::etcd::wire::mvccpb::{self, KeyValue};
use crate::hosts::Addresses;
use crate::records::cron::stored::Leadership;

const TARGET: &str = "dapr.scheduler.etcd";
/// How long leaving may take when the process ends.
const LEAVE: Duration = Duration::from_secs(5);
/// Before the keys are listed again after a failure.
const PAUSE: Duration = Duration::from_secs(1);
const PAGE: i64 = 1000;

/// Takes part in the sharing until `end`, then leaves.
///
/// The present term is in `terms`, none while the members have not agreed. The
/// addresses of all are sent whenever they have.
pub async fn keep(
    client: Client,
    me: Me,
    terms: watch::Sender<Option<Term>>,
    addresses: watch::Sender<Addresses>,
    end: CancellationToken,
) {
    let mut keeper = Keeper {
        ring: Ring::new(me.clone(), Instant::now()),
        me,
        calls: FuturesUnordered::new(),
        wake: None,
        terms,
        addresses,
        client,
    };
    let mut watch: Option<Watch> = None;
    keeper.list(Duration::ZERO);
    let mut closing = None;
    loop {
        let wake = keeper.wake;
        let events = tokio::select! {
            Some(done) = keeper.calls.next() => match done {
                Done::Events(events) => events,
                Done::Listed(Ok((members, revision))) => {
                    watch = Some(keeper.watch(revision + 1));
                    vec![Event::Listed(members, revision)]
                }
                Done::Listed(Err(error)) => {
                    tracing::warn!(target: TARGET, "the schedulers cannot be listed: {error}");
                    keeper.list(PAUSE);
                    continue;
                }
            },
            news = next(&mut watch) => match news {
                Ok(events) => events.iter().filter_map(read).collect(),
                Err(lost) => {
                    tracing::warn!(target: TARGET, "the schedulers are listed again: {lost}");
                    watch = None;
                    keeper.list(Duration::ZERO);
                    continue;
                }
            },
            () = until(wake) => {
                keeper.wake = None;
                vec![Event::Wake]
            }
            () = end.cancelled(), if closing.is_none() => {
                closing = Some(Instant::now() + LEAVE);
                vec![Event::Close]
            }
            // The lease ends by itself.
            () = until(closing) => return,
        };
        for event in events {
            if keeper.on(event).is_break() {
                return;
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn next(watch: &mut Option<Watch>) -> Result<Vec<mvccpb::Event>, Lost> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

type Listing = Result<(Vec<(String, Member)>, i64), Error>;

/// What came of a call.
enum Done {
    Events(Vec<Event>),
    Listed(Listing),
}

struct Keeper {
    ring: Ring,
    me: Me,
    client: Client,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    wake: Option<Instant>,
    terms: watch::Sender<Option<Term>>,
    addresses: watch::Sender<Addresses>,
}

impl Keeper {
    fn on(&mut self, event: Event) -> std::ops::ControlFlow<()> {
        for effect in self.ring.on(event, Instant::now()) {
            let client = self.client.clone();
            match effect {
                Effect::Closed => return std::ops::ControlFlow::Break(()),
                Effect::WakeAt(moment) => self.wake = Some(moment),
                Effect::Start(layout) => {
                    let (index, total) = (layout.index, layout.total);
                    tracing::info!(target: TARGET, "firing share {index} of {total} of the jobs");
                    self.addresses.send_replace(layout.addresses.clone());
                    self.terms.send_replace(Some(Term::new(layout)));
                }
                Effect::Stop => {
                    let term = self.terms.send_replace(None);
                    self.call(async move {
                        if let Some(term) = term {
                            term.end().await;
                        }
                        vec![Event::Stopped]
                    });
                }
                Effect::Grant => self.call(async move {
                    let asked = Instant::now();
                    match client.grant(LEASE).await {
                        Ok(lease) => vec![Event::Granted(lease, asked)],
                        Err(error) => failed(&error),
                    }
                }),
                Effect::Renew(lease) => self.call(async move {
                    let asked = Instant::now();
                    match client.keep_alive(lease).await {
                        Ok(()) => vec![Event::Renewed(asked)],
                        Err(Error::LeaseGone) => vec![Event::LeaseGone],
                        Err(error) => {
                            tracing::warn!(target: TARGET, "{error}");
                            vec![Event::NotRenewed]
                        }
                    }
                }),
                Effect::Write(write) => {
                    let request = self.request(&write);
                    self.call(async move {
                        match client.txn(request).await {
                            Ok(answer) if answer.succeeded => {
                                let revision = answer.header.map_or(0, |header| header.revision);
                                vec![Event::Written(revision)]
                            }
                            // The watch tells why.
                            Ok(_) => vec![Event::Failed],
                            Err(Error::LeaseGone) => vec![Event::Failed, Event::LeaseGone],
                            Err(error) => failed(&error),
                        }
                    });
                }
                Effect::Revoke(lease) => self.call(async move {
                    if let Err(error) = client.revoke(lease).await {
                        tracing::warn!(target: TARGET, "the lease could not be revoked: {error}");
                    }
                    vec![Event::Revoked]
                }),
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn call(&mut self, call: impl Future<Output = Vec<Event>> + Send + 'static) {
        self.calls.push(call.map(Done::Events).boxed());
    }

    fn list(&mut self, pause: Duration) {
        let client = self.client.clone();
        let listing = async move {
            sleep(pause).await;
            Done::Listed(list(&client).await)
        };
        self.calls.push(listing.boxed());
    }

    fn watch(&self, from: i64) -> Watch {
        let end = end_of(LEADERSHIP.as_bytes());
        self.client.watch(LEADERSHIP, end, from)
    }

    fn request(&self, write: &Write) -> TxnRequest {
        let key = Bytes::from(format!("{LEADERSHIP}{}", self.me.id));
        let host = Host {
            address: self.me.address.clone(),
        };
        let value = Leadership {
            total: write.total,
            uid: self.me.uid,
            replica_data: prost_types::Any::from_msg(&host).ok(),
        };
        TxnRequest {
            compare: vec![requests::is_of(key.clone(), write.modified)],
            success: vec![requests::put_under(key, value.encode_to_vec(), write.lease)],
            failure: Vec::new(),
        }
    }
}

fn failed(error: &Error) -> Vec<Event> {
    tracing::warn!(target: TARGET, "this scheduler cannot join the others yet: {error}");
    vec![Event::Failed]
}

async fn list(client: &Client) -> Listing {
    let mut pages = client.pages(LEADERSHIP, end_of(LEADERSHIP.as_bytes()), PAGE, 0);
    let (mut members, mut revision) = (Vec::new(), 0);
    while let Some(page) = pages.next().await? {
        revision = page.revision;
        members.extend(page.pairs.iter().filter_map(member));
    }
    Ok((members, revision))
}

fn read(event: &mvccpb::Event) -> Option<Event> {
    let pair = event.kv.as_ref()?;
    match event.r#type() {
        mvccpb::event::EventType::Put => member(pair).map(|(id, member)| Event::Put(id, member)),
        mvccpb::event::EventType::Delete => Some(Event::Gone(id(&pair.key)?, pair.mod_revision)),
    }
}

fn id(key: &[u8]) -> Option<String> {
    let id = key.strip_prefix(LEADERSHIP.as_bytes())?;
    Some(String::from_utf8_lossy(id).into_owned())
}

/// A value that cannot be read is a member all the same, which agrees to nothing.
fn member(pair: &KeyValue) -> Option<(String, Member)> {
    let value = Leadership::decode(pair.value.clone()).unwrap_or_default();
    let host = value.replica_data.and_then(|data| data.to_msg().ok());
    let member = Member {
        uid: value.uid,
        address: host.map_or_else(String::new, |host: Host| host.address),
        total: value.total,
        lease: pair.lease,
        created: pair.create_revision,
        modified: pair.mod_revision,
    };
    Some((id(&pair.key)?, member))
}
