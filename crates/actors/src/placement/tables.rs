//! The tables of Placement: a ring for each actor type, and what a new set changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use proto::dapr::placement::v1::{Host, PlacementTable, PlacementTables};

use super::ring::{Member, Peer, Ring};

/// 200 MB of rings; a thousand hosts of a hundred nodes each are 100,000 of them.
const MOST_NODES: usize = 1 << 24;

/// Placement sends more than a sidecar can hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "the tables need more than {MOST_NODES} virtual nodes; lower --replicationFactor of placement"
)]
pub(crate) struct TooLarge;

/// How this sidecar recognises itself among the hosts.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    name: String,
}

impl Own {
    /// The name is the one that is reported: `host:port`.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// Two spellings of this machine are the same host.
    fn is(&self, name: &str) -> bool {
        let loopback = |name: &str| {
            let (host, port) = name.rsplit_once(':')?;
            let is = matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
            is.then(|| port.to_owned())
        };
        name == self.name || loopback(name).is_some_and(|port| loopback(&self.name) == Some(port))
    }
}

/// A ring for each type that is hosted anywhere.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) rings: HashMap<Arc<str>, Arc<Ring>>,
}

impl Tables {
    /// The tables that follow these, and the types that differ: new ones, gone
    /// ones, and those with other hosts.
    pub(crate) fn next(
        &self,
        message: PlacementTables,
        own: &Own,
    ) -> Result<(Self, BTreeSet<Arc<str>>), TooLarge> {
        let replicas = message.replication_factor.max(0);
        let replicas = u32::try_from(replicas).map_err(|_| TooLarge)?;
        let mut rings = HashMap::with_capacity(message.entries.len());
        let mut differing = Vec::new();
        for (name, table) in message.entries {
            let older = self.rings.get_key_value(&*name);
            let kind = older.map_or_else(|| name.into(), |(kind, _)| kind.clone());
            match older {
                Some((_, ring)) if ring.replicas() == replicas && same(ring, &table) => {
                    rings.insert(kind, ring.clone());
                }
                older => differing.push((kind, table, older.map(|(_, ring)| ring))),
            }
        }
        let gone = self.rings.keys().filter(|kind| !rings.contains_key(*kind));
        let mut changed: BTreeSet<Arc<str>> = gone.cloned().collect();
        changed.extend(differing.iter().map(|(kind, ..)| kind.clone()));
        if !differing.is_empty() {
            let mut known = Known::new(&rings, replicas);
            for (kind, table, older) in differing {
                rings.insert(kind, known.ring(table, older, own)?);
            }
        }
        Ok((Self { rings }, changed))
    }

    /// The types that have this sidecar among their hosts.
    pub(crate) fn hosted_here(&self) -> impl Iterator<Item = &Arc<str>> {
        let here = self.rings.iter().filter(|(_, ring)| ring.is_hosted_here());
        here.map(|(kind, _)| kind)
    }

    /// Whether an actor belongs to this sidecar.
    pub(crate) fn is_local(&self, kind: &str, id: &str) -> bool {
        let owner = self.rings.get(kind).and_then(|ring| ring.owner(id));
        owner.is_some_and(|owner| owner.local)
    }
}

/// Both are sorted by key.
fn same(ring: &Ring, table: &PlacementTable) -> bool {
    let members = ring.members();
    members.len() == table.load_map.len()
        && members
            .iter()
            .zip(&table.load_map)
            .all(|(member, (key, host))| {
                *member.key == **key
                    && member.port == host.port
                    && member.peer.name == host.name
                    && member.peer.app_id == host.id
                    && member.peer.namespace == host.namespace
            })
}

/// The rings of tables in the making, by their hosts.
struct Known {
    rings: HashMap<Arc<[Member]>, Arc<Ring>>,
    replicas: u32,
    nodes: usize,
}

impl Known {
    fn new(rings: &HashMap<Arc<str>, Arc<Ring>>, replicas: u32) -> Self {
        let mut distinct: Vec<_> = rings.values().collect();
        distinct.sort_unstable_by_key(|ring| Arc::as_ptr(ring));
        distinct.dedup_by(|a, b| Arc::ptr_eq(a, b));
        let hosts: usize = distinct.iter().map(|ring| ring.members().len()).sum();
        let rings = distinct.into_iter();
        Self {
            rings: rings
                .map(|ring| (ring.members().clone(), ring.clone()))
                .collect(),
            replicas,
            nodes: hosts.saturating_mul(replicas as usize),
        }
    }

    fn ring(
        &mut self,
        table: PlacementTable,
        older: Option<&Arc<Ring>>,
        own: &Own,
    ) -> Result<Arc<Ring>, TooLarge> {
        let members = members(table.load_map, own);
        if let Some(ring) = self.rings.get(&members) {
            return Ok(ring.clone());
        }
        let more = members.len().saturating_mul(self.replicas as usize);
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            return Err(TooLarge);
        }
        let older = older.map(AsRef::as_ref);
        let ring = Arc::new(Ring::new(members.clone(), self.replicas, older));
        self.rings.insert(members, ring.clone());
        Ok(ring)
    }
}

fn members(hosts: BTreeMap<String, Host>, own: &Own) -> Arc<[Member]> {
    let member = |(key, host): (String, Host)| Member {
        key: key.into(),
        port: host.port,
        local: own.is(&host.name),
        peer: Arc::new(Peer {
            name: host.name,
            app_id: host.id,
            namespace: host.namespace,
        }),
    };
    hosts.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(types: &[(&str, &[&str])]) -> PlacementTables {
        super::super::testing::tables(types)
    }

    fn changed(tables: &Tables, types: &[(&str, &[&str])]) -> (Tables, Vec<String>) {
        let own = Own::new("a:1");
        let (tables, changed) = tables.next(message(types), &own).unwrap();
        (tables, changed.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_types_with_other_hosts_change() {
        let first: &[(&str, &[&str])] = &[("cat", &["a:1", "b:1"]), ("dog", &["b:1"])];
        let (one, names) = changed(&Tables::default(), first);
        assert_eq!(names, ["cat", "dog"]);
        let (two, names) = changed(&one, first);
        assert_eq!(names, [""; 0]);
        assert!(Arc::ptr_eq(&one.rings["cat"], &two.rings["cat"]));
        let second: &[(&str, &[&str])] = &[("cat", &["a:1"]), ("emu", &["b:1"])];
        let (three, names) = changed(&two, second);
        assert_eq!(names, ["cat", "dog", "emu"]);
        assert!(three.is_local("cat", "1") && !three.is_local("emu", "1"));
        assert_eq!(three.hosted_here().collect::<Vec<_>>(), [&Arc::from("cat")]);
    }

    #[test]
    fn another_app_at_the_same_address_and_another_number_of_nodes_are_changes() {
        let own = Own::new("a:1");
        let types: &[(&str, &[&str])] = &[("cat", &["a:1"])];
        let (tables, _) = changed(&Tables::default(), types);
        let mut other = message(types);
        let host = other.entries.get_mut("cat").unwrap();
        host.load_map.get_mut("a:1").unwrap().id = "other".to_owned();
        assert_eq!(tables.next(other, &own).unwrap().1.len(), 1);
        let mut other = message(types);
        other.replication_factor += 1;
        assert_eq!(tables.next(other, &own).unwrap().1.len(), 1);
    }

    #[test]
    fn types_with_the_same_hosts_share_a_ring() {
        let (one, _) = changed(&Tables::default(), &[("cat", &["a:1"]), ("dog", &["a:1"])]);
        assert!(Arc::ptr_eq(&one.rings["cat"], &one.rings["dog"]));
        let next: &[(&str, &[&str])] = &[("cat", &["a:1"]), ("emu", &["a:1"])];
        let (two, _) = changed(&one, next);
        assert!(Arc::ptr_eq(&one.rings["cat"], &two.rings["emu"]));
    }

    #[test]
    fn spellings_of_this_machine_are_one_host() {
        for (own, name, expected) in [
            ("10.0.0.1:5", "10.0.0.1:5", true),
            ("10.0.0.1:5", "10.0.0.1:6", false),
            ("127.0.0.1:5", "localhost:5", true),
            ("[::1]:5", "127.0.0.1:5", true),
            ("::1:5", "[::1]:5", true),
            ("127.0.0.1:5", "localhost:6", false),
            ("127.0.0.1:5", "10.0.0.1:5", false),
            ("127.0.0.1:5", "", false),
        ] {
            assert_eq!(Own::new(own).is(name), expected, "{own} {name}");
        }
    }

    #[test]
    fn tables_beyond_any_memory_are_refused() {
        for factor in [1 << 25, i64::MAX] {
            let mut message = message(&[("cat", &["a:1"])]);
            message.replication_factor = factor;
            let own = Own::new("a:1");
            assert!(Tables::default().next(message, &own).is_err(), "{factor}");
        }
        let mut negative = message(&[("cat", &["a:1"])]);
        negative.replication_factor = -1;
        let (tables, _) = Tables::default().next(negative, &Own::new("a:1")).unwrap();
        assert!(!tables.is_local("cat", "1"));
    }
}
