//! Tokens, the keys that sign them, and the ids that they prove.

use proto::dapr::sentry::v1::SignCertificateRequest;
use security::{PeerRule, SpiffeId, jwt::Jwt};
use sentry::fuzzing::{Keys, identity, is_well_formed};

use crate::at_once;

const KEYS: &[u8] = include_bytes!("../corpus/keys/of-tokens.json");
/// The tokens that prove to be of `cart`; nobody can sign another one.
const GOOD: [&str; 3] = [
    include_str!("../corpus/tokens/eddsa.jwt"),
    include_str!("../corpus/tokens/es256-without-key-id.jwt"),
    include_str!("../corpus/tokens/ps256.jwt"),
];
const SENTRY: &str = "spiffe://localhost/ns/default/dapr-sentry";
const NOW: i64 = 1_900_000_000;

fn request(id: &str, token: &str) -> SignCertificateRequest {
    SignCertificateRequest {
        id: id.into(),
        namespace: "shop".into(),
        certificate_signing_request: "x".into(),
        token: token.into(),
        ..SignCertificateRequest::default()
    }
}

/// A token, as Sentry and as its owner look at it.
pub fn tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let proves = |id| {
        let keys = Keys::parse(KEYS).expect("keys");
        at_once(identity(SENTRY, Some(keys), &request(id, text), NOW))
    };
    assert_eq!(proves("cart").is_ok(), GOOD.contains(&text));
    assert!(proves("admin").is_err(), "it was given to somebody else");

    let any = Jwt::parse(text.to_owned());
    if Jwt::for_audience(text.to_owned(), SENTRY).is_ok() {
        assert!(any.is_ok());
    }
    if let Ok(jwt) = any {
        assert_eq!(jwt.token(), text);
        assert!(!format!("{jwt:?}").contains(text), "a secret is shown");
    }
}

/// A set of JSON Web Keys.
pub fn keys(data: &[u8]) {
    let Ok(set) = Keys::parse(data) else {
        return;
    };
    let keys = set.public_keys();
    assert_eq!(set.made_anew().public_keys(), keys, "made anew");
    let written = set.written().expect("what was read can be written");
    let read = Keys::parse(&written).expect("what was written can be read");
    assert_eq!(read.public_keys(), keys, "written and read back");
}

/// SPIFFE ids, one per line, and requests for each.
pub fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        if let Ok(id) = line.parse::<SpiffeId>() {
            let written = id.to_string();
            assert!(line.starts_with(&written), "{line} is not {written}");
            assert_eq!(written.parse().as_ref(), Ok(&id));
            assert_eq!(PeerRule::Exact(id.clone()).check(&id), Ok(()));
        }
        let mut parts = line.rsplitn(4, '/');
        let mut part = || parts.next().unwrap_or_default();
        let mut request = request(part(), "");
        part().clone_into(&mut request.namespace);
        part();
        part().clone_into(&mut request.trust_domain);
        if let Ok(id) = at_once(identity(SENTRY, None, &request, NOW)) {
            assert_eq!(
                (&id.app_id, &id.namespace),
                (&request.id, &request.namespace)
            );
            if is_well_formed(&id) {
                assert_eq!(id.to_string().parse().as_ref(), Ok(&id));
            }
        }
    }
}
