//! Who shares the jobs, as etcd tells it, and since which revision.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A scheduler's key in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Random for each process.
    pub uid: u64,
    /// Where sidecars reach it.
    pub address: String,
    /// How many schedulers it saw when it wrote the key.
    pub total: u64,
    /// The lease under which the key was written.
    pub lease: i64,
    /// The revision that made the key.
    pub created: i64,
    /// The revision that wrote it last.
    pub modified: i64,
}

impl Member {
    /// Whether the key still is the same process's.
    fn is_still(&self, other: &Self) -> bool {
        (self.uid, &self.address, self.created) == (other.uid, &other.address, other.created)
    }
}

/// All members, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    all: BTreeMap<String, Member>,
    turn: i64,
    seen: i64,
}

impl Members {
    /// Takes the whole list of one revision.
    pub(super) fn list(&mut self, members: Vec<(String, Member)>, revision: i64) {
        let all: BTreeMap<_, _> = members.into_iter().collect();
        let came = all.iter().filter(|(id, _)| !self.all.contains_key(*id));
        let came = came.map(|(_, member)| member.created).max();
        // When that was is not known, but it was before this.
        let went = self.all.iter().any(|(id, before)| {
            let now = all.get(id);
            !now.is_some_and(|now| before.is_still(now))
        });
        let turn = if went { Some(revision) } else { came };
        self.turn = self.turn.max(turn.unwrap_or_default());
        self.seen = self.seen.max(revision);
        self.all = all;
    }

    pub(super) fn put(&mut self, id: String, member: Member) {
        self.seen = self.seen.max(member.modified);
        let before = self.all.get(&id);
        if !before.is_some_and(|before| before.is_still(&member)) {
            self.turn = member.modified;
        }
        self.all.insert(id, member);
    }

    pub(super) fn gone(&mut self, id: &str, revision: i64) {
        self.seen = self.seen.max(revision);
        if self.all.remove(id).is_some() {
            self.turn = revision;
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.all.get(id)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The revision since which there are these members and no others.
    pub(super) fn turn(&self) -> i64 {
        self.turn
    }

    /// The revision up to which changes are known.
    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    /// Whether every key names the number of keys.
    pub(super) fn agree(&self) -> bool {
        let count = self.all.len() as u64;
        self.all.values().all(|member| member.total == count)
    }

    /// Whether every key was written since the last of them came or went.
    pub(super) fn know_each_other(&self) -> bool {
        self.all.values().all(|member| member.modified >= self.turn)
    }

    /// The place of `id` in the order of ids.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.all.keys().position(|other| other == id)
    }

    /// The addresses of all that have one, in the order of the alphabet.
    pub(super) fn addresses(&self) -> Arc<[String]> {
        let addresses = self.all.values().map(|member| member.address.clone());
        let mut addresses: Vec<_> = addresses.filter(|address| !address.is_empty()).collect();
        addresses.sort();
        addresses.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(uid: u64, created: i64, modified: i64) -> Member {
        Member {
            uid,
            address: format!("host-{uid}:50006"),
            total: 1,
            lease: 7,
            created,
            modified,
        }
    }

    #[test]
    fn the_turn_is_the_last_revision_at_which_somebody_came_or_went() {
        let mut members = Members::default();
        members.list(
            vec![("a".into(), member(1, 3, 9)), ("b".into(), member(2, 5, 8))],
            20,
        );
        assert_eq!((members.turn(), members.seen()), (5, 20));
        members.put("b".into(), member(2, 5, 21));
        assert_eq!(members.turn(), 5, "only its total was written again");
        members.put("c".into(), member(3, 22, 22));
        assert_eq!(members.turn(), 22);
        members.put("c".into(), member(4, 22, 23));
        assert_eq!(members.turn(), 23, "another process took the key over");
        members.gone("c", 24);
        members.gone("c", 25);
        assert_eq!((members.turn(), members.seen()), (24, 25));
    }

    #[test]
    fn a_list_tells_that_somebody_went_while_nobody_looked() {
        let mut members = Members::default();
        members.list(
            vec![("a".into(), member(1, 3, 3)), ("b".into(), member(2, 5, 5))],
            10,
        );
        members.list(vec![("a".into(), member(1, 3, 3))], 30);
        assert_eq!(members.turn(), 30);
        members.list(vec![("a".into(), member(1, 3, 3))], 40);
        assert_eq!(members.turn(), 30);
    }

    #[test]
    fn addresses_are_in_the_order_of_the_alphabet_and_never_empty() {
        let mut members = Members::default();
        for (id, address) in [("a", "z:1"), ("b", ""), ("c", "b:1")] {
            let address = address.to_owned();
            let member = Member {
                address,
                ..member(1, 1, 1)
            };
            members.put(id.into(), member);
        }
        assert_eq!(*members.addresses(), ["b:1", "z:1"].map(str::to_owned));
        assert_eq!(members.index("c"), Some(2));
    }
}
