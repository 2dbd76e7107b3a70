//! Makes roots and issuers in the form of Sentry's own, so that Sentry takes them for such and
//! renews them.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd,
};
use security::pem;

use super::{Authority, Certificate, Owner};

/// How far another clock may be behind, as Sentry has it.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// The most certificates of an earlier chain that go on; verifiers do not follow longer ones.
const KEPT_CHAIN: usize = 4;

/// From when to when, since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    from: Duration,
    until: Duration,
}

impl Validity {
    pub(crate) fn days(now: Timestamp, days: u16) -> Self {
        let now = since_epoch(now);
        Self {
            from: now.saturating_sub(CLOCK_SKEW),
            until: now + Duration::from_secs(u64::from(days) * 24 * 3600),
        }
    }
}

/// A key for a root that takes another one's place.
pub(crate) fn new_root_key() -> Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")
}

/// The first private key of a PEM text. The error does not show the text.
pub(crate) fn read_key(text: &[u8]) -> Result<KeyPair> {
    let key = pem::private_key(text)?;
    KeyPair::try_from(&key)
        .ok()
        .context("it is none of Ed25519, ECDSA and RSA")
}

/// A root of the given key, or of one that nobody has afterwards, and an issuer.
///
/// The issuer of an earlier authority, if there is one, signs a bridge: the new root's name and
/// key once more. The new issuer's chain carries it, so that sidecars that know only the earlier
/// root accept new certificates. Without a bridge in the result, they do not.
pub(crate) fn make(
    owner: Owner<'_>,
    root_key: Option<KeyPair>,
    validity: Validity,
    earlier: Option<&Authority>,
) -> Result<Authority> {
    let root_key = match root_key {
        Some(key) => key,
        None => KeyPair::generate_for(&PKCS_ED25519)?,
    };
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let Owner {
        trust_domain,
        namespace,
    } = owner;
    let mut root = params(trust_domain, validity)?;
    let id = format!("spiffe://{trust_domain}/ns/{namespace}/dapr-sentry");
    let mut issuer = params(&id, validity)?;
    issuer.key_usages.push(KeyUsagePurpose::CrlSign);
    let anchor = Certificate::parse(root.self_signed(&root_key)?.der())?;
    let signed = issuer.signed_by(&key, &Issuer::from_params(&root, &root_key))?;
    let mut chain = vec![Certificate::parse(signed.der())?];
    if let Some(earlier) = earlier {
        root.serial_number = Some(serial());
        if let Some(bridge) = bridge(root, &root_key, earlier) {
            chain.push(bridge);
            let now = Timestamp::now();
            let kept = earlier.chain.iter().take_while(|c| c.holds_at(now));
            chain.extend(kept.take(KEPT_CHAIN).cloned());
        }
    }
    Ok(Authority {
        anchors: vec![anchor],
        chain,
        key,
    })
}

/// The new root's certificate, signed by the earlier issuer; nothing when that has ended, or
/// when its name cannot be written as it is.
fn bridge(mut root: CertificateParams, key: &KeyPair, earlier: &Authority) -> Option<Certificate> {
    let old = earlier.issuer();
    let now = Timestamp::now();
    if !old.holds_at(now) {
        return None;
    }
    let end = date_time_ymd(1970, 1, 1) + since_epoch(old.not_after);
    root.not_after = root.not_after.min(end);
    let signer = Issuer::from_ca_cert_der(&old.der.as_slice().into(), &earlier.key).ok()?;
    let signed = root.signed_by(key, &signer).ok()?;
    let bridge = Certificate::parse(signed.der()).ok()?;
    bridge.signed_by(old).then_some(bridge)
}

fn params(organization: &str, validity: Validity) -> Result<CertificateParams> {
    let mut name = DistinguishedName::new();
    let organization = organization.try_into()?;
    name.push(
        DnType::OrganizationName,
        DnValue::PrintableString(organization),
    );
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = date_time_ymd(1970, 1, 1) + validity.from;
    params.not_after = date_time_ymd(1970, 1, 1) + validity.until;
    params.serial_number = Some(serial());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    Ok(params)
}

fn serial() -> rcgen::SerialNumber {
    rcgen::SerialNumber::from_slice(&rand::random::<[u8; 16]>())
}

fn since_epoch(moment: Timestamp) -> Duration {
    // Nothing here is older than 1970.
    Duration::from_secs(moment.as_second().try_into().unwrap_or_default())
}
