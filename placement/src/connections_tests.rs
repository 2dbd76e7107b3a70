//! Who a client is, its certificate says.

use std::time::Duration;

use proto::dapr::placement::v1::placement_client::PlacementClient;
use proto::dapr::placement::v1::{Host, HostOperation};
use security::{Anchors, Identity, PeerRule, Svid, TrustBundle, pem};
use service::metrics::Registry;
use testkit::pki::{Authority, Leaf};
use tokio::sync::watch;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::*;
use crate::hub::Settings;
use crate::leadership::Standing;
use crate::metrics::Metrics;
use crate::rounds::Timing;

fn identity(authority: &Authority, name: &str) -> Identity {
    let expired = false;
    let leaf = authority.leaf(Leaf { name, expired });
    let key = pem::private_key(leaf.key_pem().as_bytes()).unwrap();
    let svid = Svid::new(leaf.chain.clone(), key).unwrap();
    let root = TrustBundle::from_pem(authority.certificate_pem().as_bytes()).unwrap();
    Identity::fixed(svid, Anchors::fixed(root))
}

struct Server {
    authority: Authority,
    port: u16,
    _standing: watch::Sender<Standing>,
    _tasks: Tasks,
}

impl Server {
    async fn start() -> Self {
        let authority = Authority::root("control plane");
        let own = identity(&authority, "spiffe://localhost/ns/default/dapr-placement");
        let (tasks, standing) = (Tasks::new(), watch::Sender::new(Standing::Leading));
        let timing = Timing {
            timeout: Duration::from_secs(8),
            window: Duration::ZERO,
        };
        let settings = Settings {
            timing,
            replication: 100,
        };
        let metrics = Metrics::new(&Registry::new(&[]));
        let hub = Hub::start(settings, &standing, metrics, &tasks);
        let listener = net::bind("127.0.0.1", 0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let keepalive = Keepalive {
            time: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
        };
        let acceptor = own.acceptor(PeerRule::Any);
        serve(listener, Some(acceptor), keepalive, hub, &tasks);
        Self {
            authority,
            port,
            _standing: standing,
            _tasks: tasks,
        }
    }

    /// The first order, or the end, for a client with this certificate.
    async fn ask(&self, authority: &Authority, name: &str, host: Host) -> Result<String, Status> {
        let placement = "spiffe://localhost/ns/default/dapr-placement"
            .parse()
            .unwrap();
        let connector = identity(authority, name).connector(PeerRule::Exact(placement));
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap();
        let channel = endpoint.connect_with_connector_lazy(connector);
        let requests = tokio_stream::iter([host]);
        // The requests stay open, as those of a sidecar do.
        let requests = tokio_stream::StreamExt::chain(requests, tokio_stream::pending());
        let mut client = PlacementClient::new(channel);
        let mut orders = client.report_dapr_status(requests).await?.into_inner();
        let order = orders.message().await?;
        Ok(order.unwrap().operation)
    }
}

fn host(id: &str, namespace: &str) -> Host {
    Host {
        name: "10.0.0.1:50002".into(),
        id: id.into(),
        namespace: namespace.into(),
        entities: vec!["a".into()],
        operation: HostOperation::Report as i32,
        ..Host::default()
    }
}

#[tokio::test]
async fn a_sidecar_reports_for_itself_only() {
    let server = Server::start().await;
    let cart = "spiffe://public/ns/shop/cart";
    let ask = async |host| server.ask(&server.authority, cart, host).await;
    assert_eq!(ask(host("cart", "shop")).await.unwrap(), "lock");
    for (id, namespace, text) in [
        (
            "till",
            "shop",
            "provided app ID till doesn't match the one in the SPIFFE ID (cart)",
        ),
        (
            "cart",
            "bank",
            "provided client namespace bank doesn't match the one in the SPIFFE ID (shop)",
        ),
    ] {
        let status = ask(host(id, namespace)).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, text)
        );
    }
}

#[tokio::test]
async fn a_stranger_does_not_get_to_say_anything() {
    let server = Server::start().await;
    let cart = "spiffe://public/ns/shop/cart";
    let other = Authority::root("another");
    assert!(
        server
            .ask(&other, cart, host("cart", "shop"))
            .await
            .is_err()
    );
    let anonymous = testkit::pki::credulous_client(None);
    let connector = security::Connector::tls(anonymous);
    let uri = format!("http://127.0.0.1:{}", server.port).parse().unwrap();
    let mut stream = match connector.dial(&uri).await {
        Ok(stream) => stream,
        Err(_) => return,
    };
    // With TLS 1.3 the client learns of it when it reads.
    let mut nothing = [0; 1];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut nothing).await;
    assert!(read.is_err() || read.is_ok_and(|n| n == 0));
}
