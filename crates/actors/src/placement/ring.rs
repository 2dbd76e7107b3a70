//! Who owns an id: the consistent hash that every sidecar computes alike.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::sync::Arc;

use blake2::{Blake2b512, Digest as _};

/// Another sidecar, as Placement names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Host and internal gRPC port: `10.0.0.1:50002`, `[fd00::1]:50002`.
    pub name: String,
    pub app_id: String,
    pub namespace: String,
}

/// A host of an actor type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    /// What is hashed; the peer's name, unless a server keeps other keys.
    pub(crate) key: Box<str>,
    pub(crate) port: i64,
    pub(crate) peer: Arc<Peer>,
    /// Whether it is this sidecar.
    pub(crate) local: bool,
}

/// The virtual nodes of a set of hosts, sorted; types with the same hosts share one.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Sorted by key.
    members: Arc<[Member]>,
    replicas: u32,
    hashes: Box<[u64]>,
    /// Beside each hash the index of its host in `members`.
    owners: Box<[u32]>,
}

impl Ring {
    /// `members` are sorted by key. What an older ring has of them is not hashed again.
    pub(crate) fn new(members: Arc<[Member]>, replicas: u32, older: Option<&Self>) -> Self {
        let mut nodes: Vec<(u64, u32)> = Vec::with_capacity(members.len() * replicas as usize);
        let mut known = vec![false; members.len()];
        if let Some(older) = older.filter(|it| it.replicas == replicas) {
            let find = |key: &str| members.binary_search_by(|it| (*it.key).cmp(key)).ok();
            let places = older.members.iter().map(|it| find(&it.key));
            let places: Vec<Option<u32>> = places
                .map(|place| {
                    known[place?] = true;
                    u32::try_from(place?).ok()
                })
                .collect();
            let old = older.hashes.iter().zip(&older.owners);
            nodes.extend(old.filter_map(|(hash, owner)| Some((*hash, places[*owner as usize]?))));
        }
        let mut text = String::new();
        for ((owner, member), _) in (0..).zip(&*members).zip(known).filter(|(_, known)| !known) {
            for replica in 0..replicas {
                text.clear();
                // Writing to a String cannot fail.
                let _ = write!(text, "{}{replica}", member.key);
                nodes.push((hash(&text), owner));
            }
        }
        // Hosts whose ports differ in length have equal nodes; the last by name has them.
        // The sort is a stable one since it is quick about what is sorted already.
        nodes.sort_by_key(|&(hash, owner)| (hash, Reverse(owner)));
        let (hashes, owners): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        Self {
            members,
            replicas,
            hashes: hashes.into(),
            owners: owners.into(),
        }
    }

    /// The host of an id; none when the ring is empty.
    pub(crate) fn owner(&self, id: &str) -> Option<&Member> {
        let target = hash(id);
        let index = self.hashes.partition_point(|hash| *hash < target);
        let owner = self.owners.get(index).or(self.owners.first())?;
        self.members.get(*owner as usize)
    }

    pub(crate) fn members(&self) -> &Arc<[Member]> {
        &self.members
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Whether this sidecar is one of the hosts.
    pub(crate) fn is_hosted_here(&self) -> bool {
        self.members.iter().any(|member| member.local)
    }
}

fn hash(text: &str) -> u64 {
    let digest: [u8; 64] = Blake2b512::digest(text).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(names: &[&str]) -> Arc<[Member]> {
        let mut members: Vec<Member> = names
            .iter()
            .map(|name| Member {
                key: (*name).into(),
                port: 0,
                peer: Arc::new(Peer {
                    name: (*name).to_owned(),
                    app_id: "app".to_owned(),
                    namespace: "default".to_owned(),
                }),
                local: false,
            })
            .collect();
        members.sort_by(|a, b| a.key.cmp(&b.key));
        members.into()
    }

    fn ring(names: &[&str], replicas: u32) -> Ring {
        Ring::new(members(names), replicas, None)
    }

    const FIVE: [&str; 5] = [
        "10.0.0.1:50002",
        "10.0.0.2:50002",
        "10.0.0.3:50002",
        "[fd00::1]:50002",
        "127.0.0.1:3501",
    ];

    #[test]
    fn hashes_are_those_of_every_other_implementation() {
        for (text, expected) in [
            ("", 241_225_442_164_632_184),
            ("a", 1_260_069_880_423_202_611),
            ("abc", 958_453_735_928_201_402),
            ("10.0.0.1:500020", 7_120_362_376_346_592_644),
            ("10.0.0.1:5000299", 8_251_988_567_651_704_418),
            ("[::1]:500020", 4_240_115_278_335_691_141),
            ("myactorid", 16_879_008_664_447_412_800),
            ("ユーザー", 7_142_509_637_622_135_781),
            (&"x".repeat(128), 6_183_747_054_604_462_856),
            (&"x".repeat(129), 651_030_604_704_590_390),
        ] {
            assert_eq!(hash(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ids_have_the_hosts_that_other_implementations_give_them() {
        let ids = [
            "",
            "1",
            "2",
            "3",
            "4",
            "actor-1",
            "actor-2",
            "order||7",
            "a-long-workflow-instance-id-0123456789",
            "ユーザー",
        ];
        for (replicas, owners, shares) in [
            (
                1,
                [3, 4, 0, 3, 0, 4, 0, 3, 1, 2],
                [3103, 1004, 149, 3590, 2154],
            ),
            (
                3,
                [3, 4, 0, 3, 0, 3, 0, 3, 4, 2],
                [2911, 842, 345, 2189, 3713],
            ),
            (
                100,
                [3, 2, 2, 1, 2, 3, 2, 2, 1, 2],
                [2018, 1708, 1981, 2146, 2147],
            ),
        ] {
            let ring = ring(&FIVE, replicas);
            for (id, owner) in ids.iter().zip(owners) {
                let name = &ring.owner(id).unwrap().peer.name;
                assert_eq!(name, FIVE[owner], "{replicas} nodes, id {id:?}");
            }
            let mut counts = [0; FIVE.len()];
            for k in 0..10_000 {
                let name = &*ring.owner(&format!("id-{k}")).unwrap().key;
                counts[FIVE.iter().position(|it| *it == name).unwrap()] += 1;
            }
            assert_eq!(counts, shares, "{replicas} nodes");
        }
    }

    #[test]
    fn an_id_behind_the_last_node_belongs_to_the_first() {
        let ring = ring(&FIVE, 100);
        assert!(hash("id-632") > *ring.hashes.last().unwrap());
        assert_eq!(ring.owner("id-632").unwrap().peer.name, "127.0.0.1:3501");
    }

    #[test]
    fn equal_nodes_belong_to_the_last_host_by_name() {
        let names = ["h:50001", "h:5000"];
        let ring = ring(&names, 100);
        let owners: String = (0..60)
            .map(|k| &*ring.owner(&format!("id-{k}")).unwrap().key)
            .map(|key| if key == "h:5000" { '0' } else { '1' })
            .collect();
        assert_eq!(
            owners,
            "100110110110011001101100111100011100010111010101111011011010"
        );
    }

    #[test]
    fn a_ring_without_hosts_has_no_owner() {
        assert!(ring(&[], 100).owner("1").is_none());
        assert!(ring(&FIVE, 0).owner("1").is_none());
    }

    proptest! {
        #[test]
        fn a_ring_made_of_an_older_one_is_the_one_made_anew(
            before in proptest::collection::btree_set("h:[0-9]{1,3}", 0..8),
            after in proptest::collection::btree_set("h:[0-9]{1,3}", 0..8),
            replicas in (0_u32..40, 0_u32..40, any::<bool>()),
        ) {
            let names = |set: &std::collections::BTreeSet<String>| {
                members(&set.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let (old, other, same) = replicas;
            let new = if same { old } else { other };
            let older = Ring::new(names(&before), old, None);
            let made = Ring::new(names(&after), new, Some(&older));
            let anew = Ring::new(names(&after), new, None);
            prop_assert_eq!(&made.hashes, &anew.hashes);
            prop_assert_eq!(&made.owners, &anew.owners);
        }
    }
}
