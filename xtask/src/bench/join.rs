//! A sidecar as placement sees it: it joins and answers every order.

use std::sync::Arc;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use prost::Message;
use proto::dapr::placement::v1::{Host, HostOperation, PlacementOrder};
use service::Tasks;

use super::wire::Wire;

const PATH: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";
const TYPE: &str = "cart";
/// No order without tables is longer.
const SHORT: usize = 64;

/// Those that join together.
pub(super) struct Crowd {
    count: u32,
    /// The orders with tables that came, and which of them have everybody in it: who
    /// gets one first decodes it, all others compare theirs with it.
    updates: Mutex<Vec<(Vec<u8>, bool)>>,
}

impl Crowd {
    pub(super) fn new(count: u32) -> Arc<Self> {
        Arc::new(Self {
            count,
            updates: Mutex::default(),
        })
    }

    /// Joins sidecar `number`, and returns when it has the table with everybody in it;
    /// it goes on to answer until the tasks end.
    pub(super) async fn join(
        self: Arc<Self>,
        port: u16,
        number: u32,
        tasks: Tasks,
    ) -> anyhow::Result<()> {
        let wire = Wire::open(port, PATH, &report(number)).await?;
        let mut stream = Stream {
            id: app_id(number),
            wire,
            version: 0,
        };
        while !stream
            .answer(&self)
            .await
            .with_context(|| format!("the stream of {number}"))?
        {}
        tasks.spawn("rest", async move {
            while stream.answer(&self).await.is_ok() {}
        });
        Ok(())
    }

    /// How many rounds brought a table.
    pub(super) fn rounds(&self) -> usize {
        self.updates.lock().len()
    }

    /// Whether everybody is in the table of this order.
    fn is_whole(&self, update: &[u8]) -> anyhow::Result<bool> {
        let mut updates = self.updates.lock();
        if let Some((_, whole)) = updates.iter().rev().find(|(known, _)| known == update) {
            return Ok(*whole);
        }
        let tables = PlacementOrder::decode(update)?.tables;
        let tables = tables.context("an order without tables is long")?;
        let hosts = tables.entries.get(TYPE).map(|table| &table.load_map);
        let whole = (0..self.count)
            .all(|number| hosts.is_some_and(|hosts| hosts.contains_key(&name(number))));
        updates.push((update.to_vec(), whole));
        Ok(whole)
    }
}

struct Stream {
    id: String,
    wire: Wire,
    /// Of the last lock.
    version: u64,
}

impl Stream {
    /// Answers the next order; whether it is a table with everybody in it.
    async fn answer(&mut self, crowd: &Crowd) -> anyhow::Result<bool> {
        let version = &mut self.version;
        let read = |order: &[u8]| {
            if order.len() > SHORT {
                return Ok((HostOperation::Update, crowd.is_whole(order)?));
            }
            let order = PlacementOrder::decode(order)?;
            *version = order.version;
            anyhow::Ok((operation(&order.operation)?, false))
        };
        let (operation, whole) = self.wire.hear(read).await??;
        let ack = Host {
            id: self.id.clone(),
            namespace: "default".to_owned(),
            operation: operation.into(),
            version: Some(self.version),
            ..Host::default()
        };
        self.wire.say(&ack).await?;
        Ok(whole)
    }
}

fn operation(name: &str) -> anyhow::Result<HostOperation> {
    Ok(match name {
        "lock" => HostOperation::Lock,
        "unlock" => HostOperation::Unlock,
        "update" => HostOperation::Update,
        name => bail!("{name} is no operation"),
    })
}

// The level is deprecated and sent by every sidecar.
#[allow(deprecated)]
fn report(number: u32) -> Host {
    Host {
        name: name(number),
        id: app_id(number),
        namespace: "default".to_owned(),
        entities: vec![TYPE.to_owned()],
        api_level: 20,
        operation: HostOperation::Report.into(),
        ..Host::default()
    }
}

fn name(number: u32) -> String {
    format!("10.0.{}.{}:50002", 100 + number / 100, 100 + number % 100)
}

fn app_id(number: u32) -> String {
    format!("app-{number:05}")
}

#[cfg(test)]
mod tests {
    use proto::dapr::placement::v1::{PlacementTable, PlacementTables};

    use super::*;

    fn order(operation: &str, hosts: Option<u32>) -> Vec<u8> {
        let tables = hosts.map(|hosts| {
            let hosts = (0..hosts).map(report);
            let table = PlacementTable {
                load_map: hosts.map(|host| (host.name.clone(), host)).collect(),
                ..PlacementTable::default()
            };
            PlacementTables {
                entries: [(TYPE.to_owned(), table)].into(),
                ..PlacementTables::default()
            }
        });
        let order = PlacementOrder {
            operation: operation.to_owned(),
            version: u64::MAX,
            tables,
        };
        order.encode_to_vec()
    }

    #[test]
    fn only_a_table_with_everybody_in_it_is_whole_to_whoever_gets_it() {
        let crowd = Crowd::new(10);
        for _ in 0..2 {
            assert!(!crowd.is_whole(&order("update", Some(9))).unwrap());
            assert!(crowd.is_whole(&order("update", Some(10))).unwrap());
        }
        assert!(crowd.is_whole(&order("update", None)).is_err());
    }

    #[test]
    fn orders_without_tables_are_shorter_than_any_with_one() {
        for operation in ["lock", "unlock"] {
            assert!(order(operation, None).len() <= SHORT);
        }
        assert!(order("update", Some(1)).len() > SHORT);
    }
}
