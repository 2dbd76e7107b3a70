//! What two identities make of each other.

use std::sync::Arc;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::{HandshakeKind, ProtocolVersion};
use security::{Identity, PeerRule, SpiffeId, tls, verify_chain};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, HOUR, leaf_params, valid};

pub(crate) const CART: &str = "spiffe://public/ns/default/cart";
pub(crate) const SHOP: &str = "spiffe://public/ns/default/shop";

/// Whom the server saw, and the client's stream; the error is of the side that refused.
///
/// With TLS 1.3 a client is done before the server has looked at its
/// certificate, so the client reads a byte that the server writes when it is content.
pub(crate) async fn meet(
    server: &Identity,
    clients: PeerRule,
    client: Arc<rustls::ClientConfig>,
) -> Result<(SpiffeId, TlsStream<DuplexStream>), String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = server.acceptor(clients);
    let accepting = async {
        let (mut stream, id) = acceptor
            .accept(far)
            .await
            .map_err(|e| format!("server: {e}"))?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        Ok::<_, String>((stream, id))
    };
    let connecting = async {
        let stream = tls::connect(client, "localhost", near).await;
        let mut stream = stream.map_err(|e| format!("client: {e}"))?;
        let mut byte = [0];
        let read = stream.read_exact(&mut byte).await;
        Ok::<_, String>((stream, read))
    };
    let (accepted, connected) = tokio::join!(accepting, connecting);
    let (stream, read) = match (&accepted, connected) {
        // The side that refuses says why, the other one hears of an alert.
        (_, Err(client)) if !client.contains("received fatal alert") => return Err(client),
        (Err(server), _) => return Err(server.clone()),
        (Ok(_), connected) => connected?,
    };
    read.map_err(|e| e.to_string())?;
    Ok((accepted?.1, stream))
}

fn app(app_id: &str) -> PeerRule {
    PeerRule::Path {
        namespace: "default".into(),
        app_id: app_id.into(),
    }
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[tokio::test]
async fn peers_know_each_other_by_their_certificates() {
    let authority = Authority::new();
    let (cart, shop) = (authority.identity(CART), authority.identity(SHOP));
    let rules = [PeerRule::Any, app("cart"), PeerRule::Exact(id(CART))];
    for rule in rules {
        let (peer, stream) = meet(&cart, PeerRule::Any, shop.client_config(rule))
            .await
            .unwrap();
        assert_eq!(peer, id(SHOP));
        let connection = stream.get_ref().1;
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(
            connection.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
    }
}

#[tokio::test]
async fn an_app_is_found_in_any_trust_domain_and_a_service_in_its_own_only() {
    let authority = Authority::new();
    let shop = authority.identity(SHOP);
    let elsewhere = authority.identity("spiffe://prod.example.com/ns/default/cart");
    let config = shop.client_config(app("cart"));
    meet(&elsewhere, PeerRule::Any, config).await.unwrap();
    let config = shop.client_config(PeerRule::Exact(id(CART)));
    let error = meet(&elsewhere, PeerRule::Any, config).await.unwrap_err();
    assert!(error.starts_with("client: "), "{error}");
    assert!(
        error.contains("is of spiffe://prod.example.com/ns/default/cart, not of spiffe://public"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_may_want_one_client_only() {
    let authority = Authority::new();
    let placement = authority.identity("spiffe://localhost/ns/default/dapr-placement");
    let rule = PeerRule::Exact(placement.current().id().clone());
    let config = placement.client_config(rule.clone());
    meet(&placement, rule.clone(), config).await.unwrap();
    let config = authority.identity(SHOP).client_config(PeerRule::Any);
    let error = meet(&placement, rule, config).await.unwrap_err();
    assert!(error.starts_with("server: "), "{error}");
}

#[tokio::test]
async fn no_session_is_resumed_so_a_new_identity_counts_at_once() {
    let authority = Authority::new();
    let (cart, shop) = (authority.identity(CART), authority.identity(SHOP));
    let config = shop.client_config(app("cart"));
    for _ in 0..3 {
        let (_, stream) = meet(&cart, PeerRule::Any, config.clone()).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
    cart.replace(authority.svid("spiffe://public/ns/default/other"));
    assert!(meet(&cart, PeerRule::Any, config.clone()).await.is_err());
    shop.replace(authority.svid("spiffe://public/ns/default/renamed"));
    cart.replace(authority.svid(CART));
    let (peer, _) = meet(&cart, PeerRule::Any, config).await.unwrap();
    assert_eq!(peer.app_id, "renamed");
}

#[tokio::test]
async fn a_new_bundle_counts_at_once() {
    let (old, new) = (Authority::new(), Authority::new());
    let (cart, shop) = (old.identity(CART), old.identity(SHOP));
    let config = shop.client_config(PeerRule::Any);
    cart.replace(new.svid(CART));
    assert!(meet(&cart, PeerRule::Any, config.clone()).await.is_err());
    let both = old.bundle().merged(&new.bundle()).unwrap();
    shop.anchors().replace(both);
    meet(&cart, PeerRule::Any, config.clone()).await.unwrap();
    cart.anchors().replace(new.bundle());
    assert!(meet(&cart, PeerRule::Any, config.clone()).await.is_err());
    shop.replace(new.svid(SHOP));
    meet(&cart, PeerRule::Any, config).await.unwrap();
}

#[test]
fn issuers_may_have_keys_of_every_kind() {
    for algorithm in [
        &PKCS_ED25519,
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_RSA_SHA256,
    ] {
        let authority = Authority::of(algorithm);
        let svid = authority.svid(CART);
        let now = jiff::Timestamp::now();
        let leaf = verify_chain(&authority.bundle(), svid.chain(), now);
        assert_eq!(leaf.unwrap().id, id(CART), "{algorithm:?}");
        let other = Authority::of(algorithm).bundle();
        assert!(verify_chain(&other, svid.chain(), now).is_err());
    }
}

#[test]
fn a_chain_is_valid_between_its_dates_and_those_of_its_root() {
    let now = jiff::Timestamp::now();
    let authority = Authority::with(&PKCS_ED25519, |root| valid(root, now, now + HOUR * 48));
    let mut params = leaf_params(CART);
    valid(&mut params, now - HOUR, now + HOUR * 72);
    let (chain, _) = authority.pair(&params);
    for (hours, expected) in [(-2, false), (0, true), (47, true), (49, false)] {
        let at = now + jiff::SignedDuration::from_hours(hours) + HOUR / 60;
        let verified = verify_chain(&authority.bundle(), &chain, at);
        assert_eq!(verified.is_ok(), expected, "after {hours} hours");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left_after_a_while() {
    let authority = Authority::new();
    let cart = authority.identity(CART);
    let (near, _silent) = tokio::io::duplex(1024);
    let error = cart.acceptor(PeerRule::Any).accept(near).await.unwrap_err();
    assert!(matches!(error, tls::Error::HandshakeTimeout), "{error}");
    let (near, _silent) = tokio::io::duplex(1024);
    let config = cart.client_config(PeerRule::Any);
    let error = tls::connect(config, "localhost", near).await.unwrap_err();
    assert!(matches!(error, tls::Error::HandshakeTimeout), "{error}");
}
