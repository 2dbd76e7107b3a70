use security::{
    Anchors, ControlPlane, Identity, PeerRule, Security, Service, Svid, TrustBundle, pem,
};
use testkit::pki::{Authority, Leaf};

use super::*;

fn identity(authority: &Authority, path: &str) -> Identity {
    let name = format!("spiffe://localhost/ns/{path}");
    let leaf = authority.leaf(Leaf {
        name: &name,
        expired: false,
    });
    let chain = pem::certificates(leaf.chain_pem().as_bytes()).unwrap();
    let key = pem::private_key(leaf.key_pem().as_bytes()).unwrap();
    let bundle = TrustBundle::from_pem(authority.certificate_pem().as_bytes()).unwrap();
    Identity::fixed(Svid::new(chain, key).unwrap(), Anchors::fixed(bundle))
}

#[tokio::test]
async fn only_the_scheduler_itself_is_believed() {
    let authority = Authority::root("test");
    let secure = |path| identity(&authority, path).acceptor(PeerRule::Any);
    let imposter = Fake::secure(secure("default/dapr-placement")).await;
    let mut fake = Fake::secure(secure("default/dapr-scheduler")).await;
    fake.name_hosts(&[&imposter.address, &fake.address]);
    let control_plane = ControlPlane {
        trust_domain: "localhost".to_owned(),
        namespace: "default".to_owned(),
    };
    let security = Security::with(identity(&authority, "shop/cart"), control_plane, true);
    let options = Options {
        connector: security.control_plane_connector(Service::Scheduler),
        streams: 3,
        ..options(&[&fake.address])
    };
    let it = started(Client::new(options), 3);
    it.app.accept();
    for _ in 0..3 {
        let mut stream = fake.next_stream().await;
        stream.send_job(1, "good").await;
        assert_eq!(stream.result().await, (1, true));
    }
    for _ in 0..4 {
        it.client.delete("a".into(), Target::App).await.unwrap();
    }
    assert_eq!((imposter.calls(), fake.calls()), (0, 4));
    assert!(imposter.was_left_alone());
}
