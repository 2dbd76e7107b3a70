//! The addresses of a cluster, and which of them is asked now.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::Error;

const CONNECT: Duration = Duration::from_secs(3);
/// etcd cuts connections whose pings come more often than every five seconds.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);
/// More would be a mistake, not a cluster.
const MOST: usize = 64;

/// One connection to each member; they connect when they are first used.
#[derive(Debug)]
pub(super) struct Endpoints {
    channels: Vec<Channel>,
    now: AtomicUsize,
}

impl Endpoints {
    /// Takes addresses as the flag writes them: `host:port` or `http://host:port`.
    pub(super) fn new(addresses: &[String]) -> Result<Self, Error> {
        let refuse = |text: String| Err(Error::Options(text));
        if addresses.is_empty() || addresses.len() > MOST {
            return refuse(format!("etcd needs 1 to {MOST} client endpoints"));
        }
        let mut channels = Vec::with_capacity(addresses.len());
        for address in addresses {
            let address = address.trim();
            let authority = match address.split_once("://") {
                None => address,
                Some(("http", authority)) => authority,
                Some(_) => {
                    return refuse(format!(
                        "etcd client endpoint {address:?}: etcd is reached in plain text; \
                         write host:port or http://host:port"
                    ));
                }
            };
            let endpoint = match Endpoint::from_shared(format!("http://{authority}")) {
                Ok(endpoint) if endpoint.uri().port_u16().is_some() => endpoint,
                _ => {
                    return refuse(format!("etcd client endpoint {address:?}: write host:port"));
                }
            };
            let endpoint = endpoint
                .connect_timeout(CONNECT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(PING)
                .keep_alive_timeout(PONG);
            channels.push(endpoint.connect_lazy());
        }
        Ok(Self {
            channels,
            now: AtomicUsize::new(0),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    /// The member that is asked now, and its place for [`Self::leave`].
    pub(super) fn now(&self) -> (usize, Channel) {
        let place = self.now.load(Ordering::Relaxed);
        (place, self.channels[place].clone())
    }

    /// Goes on to the next member, unless another caller already has.
    pub(super) fn leave(&self, place: usize) {
        let next = (place + 1) % self.channels.len();
        let _ = self
            .now
            .compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(addresses: &[&str]) -> Option<String> {
        let addresses: Vec<_> = addresses.iter().map(|a| (*a).to_owned()).collect();
        Endpoints::new(&addresses).err().map(|e| e.to_string())
    }

    #[tokio::test]
    async fn addresses_have_a_port_and_no_tls() {
        let good = ["localhost:2379", "http://10.0.0.1:2379", " [::1]:2379"];
        assert_eq!(refusal(&good), None);
        for (address, part) in [
            ("https://etcd:2379", "plain text"),
            ("etcd", "write host:port"),
            ("", "write host:port"),
            ("a b:1", "write host:port"),
        ] {
            let text = refusal(&[address]).unwrap_or_default();
            assert!(text.contains(part), "{address}: {text}");
        }
        assert!(refusal(&[]).is_some());
    }

    #[tokio::test]
    async fn many_callers_that_fail_together_leave_a_member_once() {
        let addresses = ["a:1", "b:1", "c:1"].map(str::to_owned);
        let endpoints = Endpoints::new(&addresses).unwrap();
        let (place, _) = endpoints.now();
        endpoints.leave(place);
        endpoints.leave(place);
        assert_eq!(endpoints.now().0, 1);
        endpoints.leave(1);
        endpoints.leave(2);
        assert_eq!(endpoints.now().0, 0);
    }
}
