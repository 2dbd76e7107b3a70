use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;

use super::rotate::{Plan, Policy, plan, pruned, renewed};
use super::*;
use crate::keys::Algorithm;
use crate::x509::certificate::to_pem;
use crate::x509::profile::{self, Validity};
use crate::x509::{Certificate, pem};

const NOW: i64 = 1_900_000_000;
const DAY: i64 = 24 * 3600;
const POLICY: Policy = Policy {
    leaf_ttl: 6 * DAY,
    clock_skew: 900,
};

fn owner() -> Owner {
    Owner {
        trust_domain: "localhost".into(),
        id: "spiffe://localhost/ns/default/dapr-sentry".into(),
    }
}

fn generated(now: i64) -> X509Bundle {
    X509Bundle::generate(&owner(), validity(900, now)).unwrap()
}

/// The three texts of a bundle.
fn texts(bundle: &X509Bundle) -> [String; 3] {
    [
        bundle.anchors_pem(),
        bundle.chain_pem(),
        bundle.key.to_pem(),
    ]
}

fn read(texts: &[String; 3], now: i64) -> Result<X509Bundle, String> {
    let [root, issuer, key] = texts.each_ref().map(|t| t.as_bytes());
    X509Bundle::read(root, issuer, key, now)
}

/// A user's authority of these kinds of keys: root, issuer, key.
fn provided(
    root: &'static rcgen::SignatureAlgorithm,
    issuer: &'static rcgen::SignatureAlgorithm,
) -> [String; 3] {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let root_key = KeyPair::generate_for(root).unwrap();
    let key = KeyPair::generate_for(issuer).unwrap();
    let root_params = params("my root");
    let root = root_params.self_signed(&root_key).unwrap();
    let signer = rcgen::Issuer::from_params(&root_params, &root_key);
    let issuer = params("my issuer").signed_by(&key, &signer).unwrap();
    [
        pem::encode("CERTIFICATE", root.der()),
        pem::encode("CERTIFICATE", issuer.der()),
        pem::encode("PRIVATE KEY", key.serialized_der()),
    ]
}

#[test]
fn issuers_of_every_kind_are_taken_over() {
    for (root, issuer) in [
        (&rcgen::PKCS_ED25519, &rcgen::PKCS_ED25519),
        (
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
        ),
        (&rcgen::PKCS_ECDSA_P521_SHA512, &rcgen::PKCS_RSA_SHA256),
        (&rcgen::PKCS_RSA_SHA512, &rcgen::PKCS_ECDSA_P256_SHA256),
    ] {
        let mut files = provided(root, issuer);
        files[0] = format!("# comments go\n{}", files[0]);
        let bundle = read(&files, NOW).unwrap();
        assert!(!bundle.self_made(&owner(), NOW));
        assert!(!bundle.anchors_pem().contains('#'));
        // What it signs verifies against its root.
        leaf_verifies(&leaf_of(&bundle, NOW), &bundle.anchors, NOW).unwrap();
    }
}

#[test]
fn a_root_behind_the_issuer_is_dropped() {
    let mut files = texts(&generated(NOW));
    files[1] = format!("{}{}", files[1], files[0]);
    let bundle = read(&files, NOW).unwrap();
    assert_eq!(bundle.chain.len(), 1);
}

#[test]
fn bundles_that_do_not_fit_are_refused_in_upstreams_words() {
    let (one, two) = (texts(&generated(NOW)), texts(&generated(NOW)));
    let with = |root: &str, issuer: &str, key: &str| [root.into(), issuer.into(), key.into()];
    for (files, text) in [
        (
            with(&one[1], &one[1], &one[2]),
            "certificate in trust anchor is not self-signed",
        ),
        (
            with(&one[0], &one[1], &two[2]),
            "issuer key does not match issuer certificate",
        ),
        (
            with(&two[0], &one[1], &one[2]),
            "issuer chain does not belong to trust anchors",
        ),
        (
            with("", &one[1], &one[2]),
            "failed to read the trust anchors: it has no certificate",
        ),
        (
            with(&one[0], &one[1][..100], &one[2]),
            "failed to read the issuer certificate: a PEM block is malformed or cut off",
        ),
        (
            with(&one[0], &one[1], &one[0]),
            "failed to read the issuer key: it has no private key in PEM",
        ),
    ] {
        assert_eq!(read(&files, NOW).unwrap_err(), text);
    }
    let ended = NOW + 366 * DAY;
    assert_eq!(
        read(&one, ended).unwrap_err(),
        "issuer chain does not belong to trust anchors"
    );
}

#[test]
fn a_leaf_is_no_issuer() {
    let bundle = generated(NOW);
    let key = crate::keys::SigningKey::generate_ed25519().unwrap();
    let uri = "spiffe://a/ns/b/c";
    let leaf = profile::leaf(bundle.signer(), key.public(), uri, &[], validity(0, NOW)).unwrap();
    let files = [
        bundle.anchors_pem(),
        pem::encode("CERTIFICATE", &leaf) + &bundle.chain_pem(),
        key.to_pem(),
    ];
    assert_eq!(
        read(&files, NOW).unwrap_err(),
        "intermediate certificate is not valid for signing"
    );
}

#[test]
fn the_plan_follows_from_clock_and_certificates() {
    let own = generated(NOW);
    let year = 365 * DAY;
    for (now, expected) in [
        (NOW, Plan::Keep),
        (NOW + year * 3 / 4 - 2 * DAY, Plan::Keep),
        (NOW + year * 3 / 4 + DAY, Plan::Renew),
        (NOW + year - 1, Plan::Renew),
    ] {
        assert_eq!(plan(&own, &owner(), POLICY, now), expected, "{}", now - NOW);
    }
    // Leaves that live long need a longer overlap.
    let long = Policy {
        leaf_ttl: 60 * DAY,
        ..POLICY
    };
    assert_eq!(
        plan(&own, &owner(), long, NOW + year - 120 * DAY),
        Plan::Renew
    );
    assert_eq!(
        plan(&own, &owner(), long, NOW + year - 121 * DAY),
        Plan::Keep
    );
}

#[test]
fn a_users_authority_is_warned_about_and_left_alone() {
    let bundle = read(&provided(&rcgen::PKCS_ED25519, &rcgen::PKCS_ED25519), NOW).unwrap();
    assert_eq!(plan(&bundle, &owner(), POLICY, NOW), Plan::Keep);
    let end = bundle.issuer().not_after;
    let late = plan(&bundle, &owner(), POLICY, end - DAY);
    assert_eq!(late, Plan::Warn(end));
    // Another Sentry's own authority is a user's too.
    let other = Owner {
        trust_domain: "cluster.local".into(),
        ..owner()
    };
    let end = NOW + 364 * DAY;
    assert!(matches!(
        plan(&generated(NOW), &other, POLICY, end),
        Plan::Warn(_)
    ));
}

/// A leaf with its chain, as a workload gets it.
struct Workload {
    chain: Vec<CertificateDer<'static>>,
    ends: i64,
}

fn leaf_of(bundle: &X509Bundle, now: i64) -> Workload {
    let key = crate::keys::SigningKey::generate_ed25519().unwrap();
    let validity = Validity {
        not_before: now - POLICY.clock_skew,
        not_after: now + POLICY.leaf_ttl,
    };
    let uri = "spiffe://public/ns/default/cart";
    let leaf = profile::leaf(bundle.signer(), key.public(), uri, &[], validity).unwrap();
    let rest = bundle.chain.iter().map(|c| c.der.clone());
    Workload {
        chain: std::iter::once(leaf).chain(rest).collect(),
        ends: validity.not_after,
    }
}

/// The check that Rust clients make, by their library.
fn leaf_verifies(
    workload: &Workload,
    anchors: &[Certificate],
    now: i64,
) -> Result<(), rustls::Error> {
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};
    let mut roots = rustls::RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.der.clone()).unwrap();
    }
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        roots.into(),
        crate::tls::provider(),
    );
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unsigned_abs()));
    let name = ServerName::try_from("no-name.example").unwrap();
    let (leaf, rest) = workload.chain.split_first().unwrap();
    let checked = verifier
        .build()
        .unwrap()
        .verify_server_cert(leaf, rest, &name, &[], time);
    match checked {
        // The chain comes first; the leaf has no such name, as it should be.
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        )) => Ok(()),
        Err(e) => Err(e),
        Ok(_) => panic!("the leaf has a name that it should not have"),
    }
}

/// What one client of another holds at some time.
struct Client {
    since: i64,
    anchors: Vec<Certificate>,
}

#[test]
fn ten_generations_pass_and_every_client_verifies_every_leaf() {
    let year = 365 * DAY;
    let mut now = NOW;
    let mut bundle = generated(now);
    let mut renewals = 0;
    let mut clients = Vec::<Client>::new();
    let mut leaves = Vec::<Workload>::new();
    while renewals < 10 {
        match plan(&bundle, &owner(), POLICY, now) {
            Plan::Keep => {}
            Plan::Renew => {
                renewals += 1;
                // Leaves of the minute before the change are in use after it.
                leaves.push(leaf_of(&bundle, now));
                bundle = renewed(&bundle, &owner(), validity(900, now), now).unwrap();
                assert!(bundle.anchors.len() <= 2 && bundle.chain.len() <= 3);
            }
            Plan::Prune => {
                let (anchors, chain) = pruned(&bundle, &owner(), now);
                let texts = [to_pem(&anchors), to_pem(&chain), bundle.key.to_pem()];
                bundle = read(&texts, now).unwrap();
                assert_eq!((bundle.anchors.len(), bundle.chain.len()), (1, 1));
            }
            Plan::Warn(_) => panic!("it does not know its own authority any more"),
        }
        // A restart finds the same authority in the files.
        let again = read(&texts(&bundle), now).unwrap();
        assert!(again.same_as(&bundle));
        assert!(again.self_made(&owner(), now));

        leaves.push(leaf_of(&bundle, now));
        clients.push(Client {
            since: now,
            anchors: bundle.anchors.clone(),
        });
        // A sidecar keeps the anchors of its start; a quarter of a year, until
        // the root that it knows ends, is the time to start it anew.
        clients.retain(|c| now - c.since < year / 4 - DAY);
        leaves.retain(|l| l.ends > now);
        for client in &clients {
            for leaf in &leaves {
                leaf_verifies(leaf, &client.anchors, now).unwrap_or_else(|e| {
                    panic!("renewal {renewals}, client of {}: {e}", client.since - now)
                });
            }
        }
        now += 5 * DAY + 1;
    }
    assert!(now - NOW > 7 * year);
}

fn options(key_id: Option<&str>, algorithm: &str) -> JwtOptions {
    JwtOptions {
        algorithm: Algorithm::parse(algorithm).unwrap(),
        key_id: key_id.map(str::to_owned),
    }
}

#[test]
fn a_new_token_key_is_rsa_and_published_for_rs256() {
    let bundle = JwtBundle::generate(&options(None, "PS512")).unwrap();
    let set: serde_json::Value = serde_json::from_slice(&bundle.json).unwrap();
    let entry = set["keys"][0].as_object().unwrap();
    let mut names: Vec<_> = entry.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(entry["alg"], "RS256");
    assert_eq!(entry["kid"], bundle.kid);
    assert_eq!(bundle.kid.len(), 44);
    let key = bundle.key.to_pem();
    let again = JwtBundle::read(key.as_bytes(), &bundle.json, &options(None, "RS256")).unwrap();
    assert_eq!(again.kid, bundle.kid);
    let named = JwtBundle::generate(&options(Some("mine"), "RS256")).unwrap();
    assert_eq!(named.kid, "mine");
}

#[test]
fn token_keys_that_do_not_fit_are_refused_in_upstreams_words() {
    let one = JwtBundle::generate(&options(Some("one"), "RS256")).unwrap();
    let two = JwtBundle::generate(&options(Some("two"), "RS256")).unwrap();
    let encrypting = String::from_utf8(one.json.clone())
        .unwrap()
        .replace("\"sig\"", "\"enc\"");
    let key = one.key.to_pem();
    for (jwks, key_id, text) in [
        (&b"{\"keys\":[]}"[..], None, "JWKS doesn't contain any keys"),
        (
            &two.json,
            None,
            "JWKS doesn't contain a matching public key for the JWT signing key",
        ),
        (
            encrypting.as_bytes(),
            None,
            "JWKS doesn't contain a matching public key for the JWT signing key",
        ),
        (
            &one.json,
            Some("k"),
            "JWKS doesn't contain a key with user-provided key ID \"k\"",
        ),
        (
            &two.json,
            Some("two"),
            "JWKS contains a key with user-provided key ID \"two\" but the key content doesn't \
             match the signing key",
        ),
    ] {
        let read = JwtBundle::read(key.as_bytes(), jwks, &options(key_id, "RS256"));
        assert_eq!(read.unwrap_err(), text);
    }
    let read = JwtBundle::read(key.as_bytes(), &one.json, &options(None, "ES256"));
    assert!(read.unwrap_err().contains("ES256 does not fit"));
}

fn store(folder: &std::path::Path) -> Store {
    Store::Files(Files::new(Paths {
        root: folder.join("ca.crt"),
        issuer: folder.join("issuer.crt"),
        key: folder.join("issuer.key"),
        jwt_key: folder.join("jwt.key"),
        jwks: folder.join("jwks.json"),
    }))
}

#[tokio::test]
async fn what_is_missing_is_made_and_what_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let jwt = options(None, "RS256");
    let open = async |jwt: Option<&JwtOptions>, occasion| {
        open(&store, &owner(), 900, jwt, occasion, NOW).await
    };
    let first = open(None, Occasion::Start).await.unwrap();
    assert!(first.new && first.jwt.is_none());
    assert!(!folder.path().join("jwt.key").exists());
    // Tokens come later: the authority stays.
    let second = open(Some(&jwt), Occasion::Start).await.unwrap();
    assert!(!second.new && second.x509.same_as(&first.x509));
    // A file that is missing for a moment is not a reason for a new authority.
    std::fs::remove_file(folder.path().join("issuer.key")).unwrap();
    let error = open(Some(&jwt), Occasion::Change).await.unwrap_err();
    assert_eq!(error, "root, issuer or key is missing");
    // At a start it is, and the token key stays.
    let third = open(Some(&jwt), Occasion::Start).await.unwrap();
    assert!(third.new && !third.x509.same_as(&first.x509));
    let (second, third) = (second.jwt.unwrap(), third.jwt.unwrap());
    assert!(second.same_as(&third));
    // All three gone is a wish for a new authority, at any time.
    for name in ["ca.crt", "issuer.crt", "issuer.key"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert!(open(Some(&jwt), Occasion::Change).await.unwrap().new);
}
