//! Certificates that peers refuse, shown by a client that keeps no rule itself.

use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
};
use security::{Identity, PeerRule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, HOUR, leaf_params, valid};
use crate::handshake::{CART, SHOP, meet};

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Trusts everybody and shows what it is given.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn careless(version: &'static SupportedProtocolVersion, shown: Option<Pair>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless));
    let mut config = match shown {
        Some((chain, key)) => {
            let key = default_provider()
                .key_provider
                .load_private_key(key)
                .unwrap();
            let certified = rustls::sign::CertifiedKey::new(chain, key);
            let single = rustls::sign::SingleCertAndKey::from(certified);
            builder.with_client_cert_resolver(Arc::new(single))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

fn pair(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Option<Pair> {
    let mut params = leaf_params(SHOP);
    change(&mut params);
    let (chain, key) = authority.pair(&params);
    Some((chain, key.into()))
}

/// Both versions refuse with the same reason; `None` accepts.
async fn check(server: &Identity, shown: impl Fn() -> Option<Pair>, expected: Option<&str>) {
    for version in [&TLS13, &TLS12] {
        let met = meet(server, PeerRule::Any, careless(version, shown())).await;
        match (met, expected) {
            (Ok((peer, _)), None) => assert_eq!(peer.to_string(), SHOP),
            (Err(error), Some(expected)) => {
                assert!(error.contains(expected), "{version:?}: {error}");
            }
            (Ok(_), Some(expected)) => panic!("{version:?}: accepted in spite of {expected}"),
            (Err(error), None) => panic!("{version:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_client_must_show_a_certificate_that_identifies_it() {
    let authority = Authority::new();
    let cart = authority.identity(CART);
    check(&cart, || pair(&authority, |_| {}), None).await;
    check(&cart, || None, Some("peer sent no certificates")).await;

    let stranger = Authority::new();
    check(
        &cart,
        || pair(&stranger, |_| {}),
        Some("invalid peer certificate"),
    )
    .await;
    type Case = (fn(&mut CertificateParams), &'static str);
    let cases: [Case; 7] = [
        (|p| valid(p, past(48), past(24)), "certificate expired"),
        (
            |p| valid(p, past(-24), past(-48)),
            "certificate not valid yet",
        ),
        (|p| p.subject_alt_names.clear(), "0 URI names"),
        (|p| p.subject_alt_names.push(uri(CART)), "2 URI names"),
        (
            |p| p.subject_alt_names = vec![uri("spiffe://public/cart")],
            "malformed SPIFFE ID: spiffe://public/cart",
        ),
        (
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            "may sign certificates",
        ),
        (
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            "CaUsedAsEndEntity",
        ),
    ];
    for (change, expected) in cases {
        check(&cart, || pair(&authority, change), Some(expected)).await;
    }
    let server_only = |p: &mut CertificateParams| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    check(
        &cart,
        || pair(&authority, server_only),
        Some("client authentication"),
    )
    .await;
}

fn past(hours: i64) -> Timestamp {
    Timestamp::now() - jiff::SignedDuration::from_secs(hours * HOUR.as_secs() as i64)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[tokio::test]
async fn garbage_in_place_of_a_certificate_is_refused() {
    let authority = Authority::new();
    let cart = authority.identity(CART);
    let (chain, _) = authority.pair(&leaf_params(SHOP));
    let mut damaged = chain[0].to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for leaf in [
        vec![0x30, 0x82],
        vec![0; 40],
        chain[0][..60].to_vec(),
        damaged,
    ] {
        let shown = || {
            let (chain, key) = pair(&authority, |_| {}).unwrap();
            Some((vec![leaf.clone().into(), chain[1].clone()], key))
        };
        check(&cart, shown, Some("invalid peer certificate")).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_handshake_end_the_connection() {
    let cart = Authority::new().identity(CART);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 99],
    ] {
        let (mut near, far) = tokio::io::duplex(1 << 12);
        near.write_all(garbage).await.unwrap();
        let acceptor = cart.acceptor(PeerRule::Any);
        let (accepted, _) = tokio::join!(acceptor.accept(far), async {
            // Until the server closes.
            let _ = near.read_to_end(&mut Vec::new()).await;
        });
        assert!(accepted.is_err());
    }
}
