//! Certificates and the requests for them. Nobody can sign for the keys of the
//! corpus, so nothing but what is there may be believed.

use std::sync::LazyLock;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use security::bundle::MAX_ANCHORS;
use security::{Leaf, PeerRule, TrustBundle, pem, verify_chain};

const ROOT: &[u8] = include_bytes!("../corpus/certificates/root.der");
const ISSUER: &[u8] = include_bytes!("../corpus/certificates/issuer.der");
const LEAVES: [&[u8]; 2] = [
    include_bytes!("../corpus/certificates/leaf.der"),
    include_bytes!("../corpus/certificates/leaf-with-dns.der"),
];
const REQUESTS: [&[u8]; 5] = [
    include_bytes!("../corpus/requests/ed25519.der"),
    include_bytes!("../corpus/requests/p256.der"),
    include_bytes!("../corpus/requests/p384.der"),
    include_bytes!("../corpus/requests/p521.der"),
    include_bytes!("../corpus/requests/rsa.der"),
];

struct Authority {
    bundle: TrustBundle,
    issuer: CertificateDer<'static>,
    now: Timestamp,
    leaves: Vec<Leaf>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut authority = Authority {
        bundle: TrustBundle::from_der(vec![ROOT.into()]).expect("the root is one"),
        issuer: ISSUER.into(),
        now: Timestamp::from_second(1_900_000_000).expect("a moment"),
        leaves: Vec::new(),
    };
    let leaves = LEAVES.map(|der| authority.verify(der).expect("the leaf is of the root"));
    authority.leaves = leaves.into();
    authority
});

impl Authority {
    fn verify(&self, leaf: &[u8]) -> Result<Leaf, rustls::Error> {
        let chain = [leaf.into(), self.issuer.clone()];
        verify_chain(&self.bundle, &chain, self.now)
    }
}

/// A certificate in DER, or certificates in PEM.
pub fn certificates(data: &[u8]) {
    let one = TrustBundle::from_der(vec![data.to_vec().into()]);
    let wrapped = pem::encode("CERTIFICATE", data);
    let same = TrustBundle::from_pem(wrapped.as_bytes());
    assert_eq!(one.as_ref().ok(), same.as_ref().ok(), "PEM changed it");

    let leaf = Leaf::parse(data);
    if let Ok(leaf) = &leaf {
        assert!(one.is_err(), "a leaf is an anchor");
        assert_eq!(leaf.id.to_string().parse().as_ref(), Ok(&leaf.id));
        assert_eq!(PeerRule::Exact(leaf.id.clone()).check(&leaf.id), Ok(()));
    }
    if let Ok(proven) = AUTHORITY.verify(data) {
        assert!(AUTHORITY.leaves.contains(&proven), "forged: {proven:?}");
        assert_eq!(leaf.as_ref(), Ok(&proven));
    }
    if let Ok(key) = sentry::fuzzing::certificate(data) {
        holds(data, &key);
    }

    for bundle in [one, TrustBundle::from_pem(data)].into_iter().flatten() {
        assert!((1..=MAX_ANCHORS).contains(&bundle.len()));
        let written = bundle.to_pem();
        let read = TrustBundle::from_pem(written.as_bytes());
        assert_eq!(read.as_ref(), Ok(&bundle), "written and read back");
        assert_eq!(bundle.merged(&bundle).as_ref(), Ok(&bundle));
    }
    if let Ok(found) = pem::certificates(data) {
        let written = pem::encode_certificates(&found);
        let same = found.iter().any(|der| der.is_empty())
            || pem::certificates(written.as_bytes()).as_ref() == Ok(&found);
        assert!(same, "written and read back");
    }
    let _ = pem::private_key(data);
}

static KEYS: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    let read = |der| sentry::fuzzing::request(wrapped(der).as_bytes());
    REQUESTS.map(|der| read(der).expect("the request proves its key"))
});

fn wrapped(request: &[u8]) -> String {
    pem::encode("CERTIFICATE REQUEST", request)
}

/// A certificate signing request in PEM or DER.
pub fn requests(data: &[u8]) {
    for text in [data, wrapped(data).as_bytes()] {
        if let Ok(key) = sentry::fuzzing::request(text) {
            assert!(KEYS.contains(&key), "nobody proved to have this key");
        }
    }
}

/// The key was taken from the certificate.
fn holds(der: &[u8], key: &[u8]) {
    let (_, end) = key.split_at(key.len().saturating_sub(32));
    let found = der.windows(end.len()).any(|window| window == end);
    assert!(found, "the key comes from elsewhere");
}
