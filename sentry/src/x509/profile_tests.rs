use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::*;

const VALIDITY: Validity = Validity {
    not_before: 1_700_000_000,
    not_after: 1_700_090_000,
};
const URI: &str = "spiffe://public/ns/default/cart";

fn ed25519() -> SigningKey {
    SigningKey::generate_ed25519().unwrap()
}

fn signer<'a>(key: &'a SigningKey, subject: &'a [u8], id: &'a [u8]) -> Signer<'a> {
    Signer {
        key,
        subject,
        key_id: Some(id),
    }
}

/// The extensions as text: criticality, then what they say.
fn extensions(certificate: &X509Certificate<'_>) -> Vec<String> {
    let describe = |e: &ParsedExtension<'_>| match e {
        ParsedExtension::KeyUsage(u) => format!("usage {u}"),
        ParsedExtension::ExtendedKeyUsage(u) => {
            assert!(!u.any && u.other.is_empty() && !u.code_signing);
            format!("server {} client {}", u.server_auth, u.client_auth)
        }
        ParsedExtension::BasicConstraints(b) => {
            format!("ca {} {:?}", b.ca, b.path_len_constraint)
        }
        ParsedExtension::SubjectKeyIdentifier(id) => format!("ski {}", hex::encode(id.0)),
        ParsedExtension::AuthorityKeyIdentifier(a) => {
            assert!(a.authority_cert_issuer.is_none() && a.authority_cert_serial.is_none());
            let id = a.key_identifier.as_ref().map(|k| hex::encode(k.0));
            format!("aki {}", id.unwrap_or_default())
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let texts: Vec<_> = names
                .general_names
                .iter()
                .map(|name| match name {
                    GeneralName::URI(uri) => (*uri).to_owned(),
                    GeneralName::DNSName(name) => format!("dns:{name}"),
                    other => panic!("{other}"),
                })
                .collect();
            texts.join(" ")
        }
        other => panic!("{other:?}"),
    };
    let all = certificate.extensions().iter();
    all.map(|e| {
        let critical = if e.critical { "critical " } else { "" };
        format!("{critical}{}", describe(e.parsed_extension()))
    })
    .collect()
}

#[test]
fn a_leaf_is_what_upstream_issues() {
    let (key, client) = (ed25519(), ed25519());
    let subject = name("issuer");
    let dns = ["dapr-webhook.dapr-system.svc".to_owned()];
    let signer = signer(&key, &subject, &[0xab; 20]);
    let der = leaf(signer, client.public(), URI, &dns, VALIDITY).unwrap();
    let (rest, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(parsed.version().0, 2);
    assert_eq!(parsed.subject.as_raw(), [0x30, 0x00]);
    assert_eq!(parsed.issuer.as_raw(), subject);
    assert_eq!(parsed.subject_pki.raw, client.public().spki());
    assert_eq!(parsed.validity.not_before.timestamp(), VALIDITY.not_before);
    assert_eq!(parsed.validity.not_after.timestamp(), VALIDITY.not_after);
    assert_eq!(
        extensions(&parsed),
        [
            "critical usage Digital Signature",
            "server true client true",
            &format!("aki {}", "ab".repeat(20)),
            &format!("critical dns:dapr-webhook.dapr-system.svc {URI}"),
        ]
    );
    let again = leaf(signer, client.public(), URI, &[], VALIDITY).unwrap();
    let (_, again) = X509Certificate::from_der(&again).unwrap();
    assert_ne!(parsed.raw_serial(), again.raw_serial());
    assert!(parsed.raw_serial().len() <= 17 && parsed.raw_serial().len() > 8);
}

#[test]
fn an_issuer_without_a_key_id_leaves_it_out() {
    let key = ed25519();
    let subject = name("issuer");
    let signer = Signer {
        key: &key,
        subject: &subject,
        key_id: None,
    };
    let der = leaf(signer, key.public(), URI, &[], VALIDITY).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(!extensions(&parsed).iter().any(|e| e.starts_with("aki")));
}

#[test]
fn roots_and_issuers_are_what_upstream_makes() {
    let (root_key, key) = (ed25519(), ed25519());
    let ski = |k: &SigningKey| format!("ski {}", hex::encode(k.public().key_id()));
    let der = root(&root_key, "localhost", VALIDITY).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(parsed.subject.to_string(), "O=localhost");
    assert_eq!(parsed.issuer, parsed.subject);
    assert_eq!(
        extensions(&parsed),
        [
            "critical usage Digital Signature, Key Cert Sign",
            "critical ca true None",
            &ski(&root_key),
        ]
    );
    let subject = name("localhost");
    let id = root_key.public().key_id();
    let der = issuer(
        signer(&root_key, &subject, &id),
        key.public(),
        "spiffe://localhost/ns/default/dapr-sentry",
        VALIDITY,
    )
    .unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(
        parsed.subject.to_string(),
        "O=spiffe://localhost/ns/default/dapr-sentry"
    );
    assert_eq!(
        extensions(&parsed),
        [
            "critical usage Digital Signature, Key Cert Sign, CRL Sign",
            "critical ca true None",
            &ski(&key),
        ]
    );
}

#[test]
fn a_moment_beyond_the_calendar_is_an_error() {
    let key = ed25519();
    let never = Validity {
        not_after: i64::MAX,
        ..VALIDITY
    };
    assert!(root(&key, "td", never).is_err());
}
