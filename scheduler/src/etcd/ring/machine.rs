//! When this scheduler fires which jobs: a pure machine.
//!
//! Every scheduler keeps a key with the number of keys it sees, under a lease. It
//! fires jobs while all keys name their own number, and stops before it writes its
//! key for another set of members; so whoever sees all keys agree knows that nobody
//! fires by an older set. Three things make that hold without exception among
//! schedulers of this kind:
//!
//! - A key counts for the present members only if it was written since the last of
//!   them came or went, so each writes its key again also when the number stays.
//! - A scheduler learns of its own write from the watch, and so after everything
//!   that happened before it; it cannot start for members who were gone by then.
//! - Whoever could not renew its lease stops well before the lease ends.
//!
//! A scheduler of another kind may leave its key as it is when the number stays;
//! after the length of a lease it is taken to have noticed the change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::members::{Member, Members};

/// How long a lease lasts after it was renewed.
pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How long before its lease may have ended a scheduler stops.
pub(super) const MARGIN: Duration = Duration::from_secs(5);
const RENEW: Duration = Duration::from_secs(LEASE.as_secs() / 3);
/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// This scheduler.
#[derive(Clone, Debug)]
pub struct Me {
    pub id: String,
    pub uid: u64,
    /// Where sidecars reach it.
    pub address: String,
}

/// Which jobs this scheduler fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its place in the order of ids.
    pub index: u64,
    /// How many share the jobs; at least one.
    pub total: u64,
    /// Where sidecars reach them, in the order of the alphabet.
    pub addresses: Arc<[String]>,
}

impl Layout {
    /// Whether the jobs with this partition id are this scheduler's.
    pub fn owns(&self, partition_id: u64) -> bool {
        partition_id % self.total == self.index
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// These are all keys, at this revision.
    Listed(Vec<(String, Member)>, i64),
    Put(String, Member),
    Gone(String, i64),
    /// There is a lease; when it was asked for.
    Granted(i64, Instant),
    /// The lease lasts its whole length again from this moment on.
    Renewed(Instant),
    NotRenewed,
    LeaseGone,
    /// The key was written at this revision.
    Written(i64),
    /// The grant or the write failed, or its condition does not hold.
    Failed,
    /// Nothing is fired any more.
    Stopped,
    Revoked,
    /// The process ends.
    Close,
    /// It is as late as was asked for.
    Wake,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Grant,
    Renew(i64),
    Write(Write),
    /// Fire these jobs.
    Start(Layout),
    /// Fire nothing; [`Event::Stopped`] tells when that is so.
    Stop,
    Revoke(i64),
    /// Nothing is left to do.
    Closed,
    /// Come back at this moment, whatever was asked for before.
    WakeAt(Instant),
}

/// The own key to be written, unless somebody else wrote it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub lease: i64,
    pub total: u64,
    /// The revision that wrote the own key last; 0 when there is none.
    pub modified: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Idle,
    /// Since the members turned at this revision.
    Running(i64),
    Stopping,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: i64,
    /// It lasts at least its length from here.
    since: Instant,
    renew_at: Instant,
    renewing: bool,
}

impl Lease {
    fn new(id: i64, since: Instant) -> Self {
        Self {
            id,
            since,
            renew_at: since + RENEW,
            renewing: false,
        }
    }

    /// Until when it is sure to last.
    fn firm_until(&self) -> Instant {
        self.since + (LEASE - MARGIN)
    }
}

/// The machine.
#[derive(Debug)]
pub(super) struct Ring {
    me: Me,
    members: Members,
    listed: bool,
    /// When the members were seen to have turned.
    turned_at: Instant,
    lease: Option<Lease>,
    /// A grant, a write or a revocation is under way.
    busy: bool,
    /// Nothing new before this, after a failure.
    not_before: Instant,
    /// The own write that the watch has to tell first.
    written: i64,
    engine: Engine,
    closing: bool,
}

impl Ring {
    /// A scheduler that knows nothing yet.
    pub(super) fn new(me: Me, now: Instant) -> Self {
        Self {
            me,
            members: Members::default(),
            listed: false,
            turned_at: now,
            lease: None,
            busy: false,
            not_before: now,
            written: 0,
            engine: Engine::Idle,
            closing: false,
        }
    }

    /// Takes what happened and answers what to do, in this order.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let turn = self.members.turn();
        match event {
            Event::Listed(members, revision) => {
                self.members.list(members, revision);
                self.listed = true;
            }
            Event::Put(id, member) => self.members.put(id, member),
            Event::Gone(id, revision) => self.members.gone(&id, revision),
            Event::Granted(id, asked) => {
                self.busy = false;
                self.lease = Some(Lease::new(id, asked));
            }
            Event::Renewed(asked) => {
                if let Some(lease) = &mut self.lease {
                    *lease = Lease::new(lease.id, asked);
                }
            }
            Event::NotRenewed => {
                if let Some(lease) = &mut self.lease {
                    lease.renewing = false;
                    lease.renew_at = now + PAUSE;
                }
            }
            Event::LeaseGone => self.lease = None,
            Event::Written(revision) => {
                self.busy = false;
                self.written = revision;
            }
            Event::Failed => {
                self.busy = false;
                self.not_before = now + PAUSE;
            }
            Event::Stopped => self.engine = Engine::Idle,
            Event::Revoked => {
                self.busy = false;
                self.lease = None;
            }
            Event::Close => self.closing = true,
            Event::Wake => {}
        }
        if self.members.turn() != turn {
            self.turned_at = now;
            // A write that failed for the old members may hold for the new.
            self.not_before = now;
        }
        self.decide(now)
    }

    fn decide(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let settled = self.is_settled(now);
        if let Engine::Running(turn) = self.engine
            && !(settled && turn == self.members.turn())
        {
            self.engine = Engine::Stopping;
            effects.push(Effect::Stop);
        }
        if self.engine == Engine::Idle && !self.busy {
            let next = match self.lease {
                Some(lease) if self.closing => Some(Effect::Revoke(lease.id)),
                None if self.closing => Some(Effect::Closed),
                _ if settled => self.layout().map(Effect::Start),
                _ if now < self.not_before || !self.listed => None,
                None => Some(Effect::Grant),
                Some(lease) => self.write(lease.id).map(Effect::Write),
            };
            match &next {
                Some(Effect::Start(_)) => self.engine = Engine::Running(self.members.turn()),
                other => self.busy = other.is_some(),
            }
            effects.extend(next);
        }
        if let Some(lease) = &mut self.lease
            && !self.closing
            && !lease.renewing
            && now >= lease.renew_at
        {
            lease.renewing = true;
            effects.push(Effect::Renew(lease.id));
        }
        effects.extend(self.wake(now).map(Effect::WakeAt));
        effects
    }

    /// The own key, if it is this process's and under the present lease.
    fn own(&self) -> Option<&Member> {
        let (lease, own) = (self.lease?, self.members.get(&self.me.id)?);
        let mine = (own.uid, own.lease) == (self.me.uid, lease.id);
        (mine && own.address == self.me.address).then_some(own)
    }

    /// Whether this scheduler may fire jobs.
    fn is_settled(&self, now: Instant) -> bool {
        let firm = self.lease.is_some_and(|lease| now < lease.firm_until());
        let own = self.own();
        let own_is_new = own.is_some_and(|own| own.modified >= self.members.turn());
        let others_know = self.members.know_each_other()
            || now.saturating_duration_since(self.turned_at) >= LEASE;
        !self.closing && firm && own_is_new && self.members.agree() && others_know
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout {
            index: self.members.index(&self.me.id)? as u64,
            total: self.members.count() as u64,
            addresses: self.members.addresses(),
        })
    }

    /// The write of the own key, if it says what no longer holds; a key that is
    /// another process's is left alone until it is gone.
    fn write(&self, lease: i64) -> Option<Write> {
        if self.members.seen() < self.written {
            return None;
        }
        let count = self.members.count() as u64;
        let (total, modified) = match (self.members.get(&self.me.id), self.own()) {
            (None, _) => (count + 1, 0),
            (Some(_), None) => return None,
            (_, Some(own)) if own.total == count && own.modified >= self.members.turn() => {
                return None;
            }
            (_, Some(own)) => (count, own.modified),
        };
        Some(Write {
            lease,
            total,
            modified,
        })
    }

    /// The next moment at which time alone changes something.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let lease = self.lease.filter(|_| !self.closing);
        let renewal = lease.filter(|lease| !lease.renewing);
        let moments = [
            renewal.map(|lease| lease.renew_at),
            lease.map(|lease| lease.firm_until()),
            Some(self.not_before),
            Some(self.turned_at + LEASE),
        ];
        moments.into_iter().flatten().filter(|at| *at > now).min()
    }
}
