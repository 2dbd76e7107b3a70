//! Opens and closes streams as the plan says.

use std::collections::HashMap;
use std::sync::Arc;

use service::Tasks;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::plan::{Effect, Event, Plan};
use super::stream::{Receiver, Stream};
use crate::app::AppHealth;

pub(super) struct Streams {
    client: Arc<Inner>,
    receiver: Arc<Receiver>,
    plan: Plan,
    /// By address.
    open: HashMap<Arc<str>, CancellationToken>,
    tasks: Tasks,
}

impl Streams {
    pub(super) fn new(client: &Arc<Inner>, receiver: Receiver, tasks: &Tasks) -> Self {
        Self {
            client: client.clone(),
            receiver: Arc::new(receiver),
            plan: Plan::default(),
            open: HashMap::new(),
            tasks: tasks.clone(),
        }
    }

    /// Follows the schedulers, the app's health and the types of actors. Without an
    /// app, jobs are taken and fail, as upstream has it.
    pub(super) async fn run(mut self, mut health: Option<watch::Receiver<AppHealth>>) {
        let mut hosts = self.client.hosts.subscribe();
        let mut types = self.client.actor_types.subscribe();
        hosts.mark_changed();
        types.mark_changed();
        match &mut health {
            Some(health) => health.mark_changed(),
            None => self.apply(Event::Healthy(true)),
        }
        loop {
            // The senders outlive this: those of the client are in `self`, and the
            // app's ends with the sidecar.
            let event = tokio::select! {
                Ok(()) = hosts.changed() => {
                    let hosts = hosts.borrow_and_update();
                    Event::Hosts(hosts.iter().map(|host| host.address.clone()).collect())
                }
                Ok(()) = types.changed() => Event::ActorTypes(types.borrow_and_update().clone()),
                healthy = changed(&mut health) => Event::Healthy(healthy),
            };
            self.apply(event);
        }
    }

    fn apply(&mut self, event: Event) {
        for effect in self.plan.on(event) {
            match effect {
                Effect::Close(address) => {
                    if let Some(stop) = self.open.remove(&address) {
                        stop.cancel();
                    }
                }
                Effect::Open(address) => self.open(address),
            }
        }
    }

    fn open(&mut self, address: Arc<str>) {
        let stop = self.tasks.token().child_token();
        for _ in 0..self.client.streams {
            let stream = Stream {
                address: address.clone(),
                accept: self.plan.accept().clone(),
                dialer: self.client.dialer.clone(),
                receiver: self.receiver.clone(),
            };
            self.tasks
                .spawn("scheduler stream", stream.keep(stop.clone()));
        }
        self.open.insert(address, stop);
    }
}

async fn changed(health: &mut Option<watch::Receiver<AppHealth>>) -> bool {
    if let Some(health) = health
        && health.changed().await.is_ok()
    {
        return *health.borrow_and_update() == AppHealth::Healthy;
    }
    std::future::pending().await
}
