//! Which server of Placement is asked next, when, and the connection to it.

use std::time::Duration;

use proto::dapr::placement::v1::placement_client::PlacementClient;
use security::Connector;
use tonic::transport::{Channel, Endpoint};

/// For finding the address, the handshakes and all.
const CONNECT: Duration = Duration::from_secs(15);
/// A thousand hosts with some types each are a few megabytes.
const LARGEST: usize = 64 << 20;
/// Servers ping more often and notice first; this finds a machine that vanished. Go's
/// servers close connections that ping more often than every five minutes.
const PING: Duration = Duration::from_secs(6 * 60);
const PONG: Duration = Duration::from_secs(20);

/// The servers, one after the other.
#[derive(Debug)]
pub(crate) struct Rotation {
    addresses: Vec<String>,
    kubernetes: bool,
    next: usize,
    /// How many there were at the last look.
    servers: usize,
    /// Streams in a row that brought nothing.
    barren: usize,
}

impl Rotation {
    pub(crate) fn new(mut addresses: Vec<String>, kubernetes: bool) -> Self {
        if kubernetes {
            addresses.truncate(1);
        }
        Self {
            servers: addresses.len(),
            addresses,
            kubernetes,
            next: 0,
            barren: 0,
        }
    }

    /// The address of the server whose turn it is.
    async fn address(&mut self) -> Result<String, String> {
        if !self.kubernetes {
            return self.turn(&self.addresses.clone());
        }
        let name = self.addresses.first().ok_or("no address")?;
        let found = tokio::net::lookup_host(name).await;
        let mut found: Vec<_> = found.map_err(|e| format!("{name}: {e}"))?.collect();
        // Name servers shuffle.
        found.sort_unstable();
        found.dedup();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        self.turn(&found)
    }

    fn turn(&mut self, servers: &[String]) -> Result<String, String> {
        self.servers = servers.len();
        let index = self.next.checked_rem(servers.len()).ok_or("no address")?;
        self.next = index + 1;
        Ok(servers[index].clone())
    }

    /// How long to wait after a stream that ended. The next server is asked at once, but
    /// not over and over when none of them says anything.
    pub(crate) fn ended(&mut self, brought_orders: bool) -> Duration {
        self.barren = if brought_orders { 0 } else { self.barren + 1 };
        if self.barren > self.servers {
            pause()
        } else {
            Duration::ZERO
        }
    }
}

/// Half a second, give or take a quarter.
pub(crate) fn pause() -> Duration {
    Duration::from_millis(rand::random_range(250..=750))
}

/// A connection to the server whose turn it is, and its address.
pub(crate) async fn connect(
    rotation: &mut Rotation,
    connector: &Connector,
) -> Result<(PlacementClient<Channel>, String), String> {
    let connecting = async {
        let address = rotation.address().await?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|_| format!("'{address}' is no address"))?;
        let endpoint = endpoint
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector(connector.clone()).await;
        let channel = channel.map_err(|e| format!("{address}: {}", causes(&e)))?;
        let client = PlacementClient::new(channel).max_decoding_message_size(LARGEST);
        Ok((client, address))
    };
    let connected = tokio::time::timeout(CONNECT, connecting).await;
    connected.unwrap_or_else(|_| Err(format!("no connection within {CONNECT:?}")))
}

/// tonic's own text says only that it is a transport error.
fn causes(error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_take_turns() {
        let names = ["a:1", "b:1", "c:1"].map(String::from);
        let mut rotation = Rotation::new(names.to_vec(), false);
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(rotation.turn(&names).unwrap());
        }
        assert_eq!(turns, ["a:1", "b:1", "c:1", "a:1"]);
        assert_eq!(rotation.turn(&names[..1]).unwrap(), "a:1");
        assert!(rotation.turn(&[]).is_err());
    }

    #[test]
    fn only_after_a_fruitless_turn_of_all_there_is_a_pause() {
        let mut rotation = Rotation::new(vec!["a:1".into(), "b:1".into()], false);
        for (brought_orders, waits) in [
            (false, false),
            (false, false),
            (false, true),
            (false, true),
            (true, false),
            (false, false),
        ] {
            let pause = rotation.ended(brought_orders);
            assert_eq!(!pause.is_zero(), waits);
            assert!(pause <= Duration::from_millis(750));
        }
    }

    #[tokio::test]
    async fn in_a_cluster_the_first_name_alone_is_resolved() {
        let names = vec!["localhost:1".to_owned(), "never.invalid:1".to_owned()];
        let mut rotation = Rotation::new(names, true);
        for _ in 0..3 {
            let address = rotation.address().await.unwrap();
            assert!(["127.0.0.1:1", "[::1]:1"].contains(&&*address), "{address}");
        }
    }
}
