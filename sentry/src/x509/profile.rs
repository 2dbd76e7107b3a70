//! What the certificates that Sentry makes look like.

use aws_lc_rs::error::Unspecified;
use rustls::pki_types::CertificateDer;

use super::der::{self, BOOLEAN, OCTET_STRING, SET, bits, integer, sequence, value};
use crate::keys::{PublicKey, SigningKey};

/// From when to when, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

/// Who signs: a key, under the name and the key id of its certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer<'a> {
    pub(crate) key: &'a SigningKey,
    pub(crate) subject: &'a [u8],
    pub(crate) key_id: Option<&'a [u8]>,
}

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

// Key usages as their bit strings: unused bits, then the bits.
const SIGNATURE: &[u8] = &[7, 0b1000_0000];
const SIGNATURE_CERTS: &[u8] = &[2, 0b1000_0100];
const SIGNATURE_CERTS_CRLS: &[u8] = &[1, 0b1000_0110];

/// A leaf: no subject, the SPIFFE id and the DNS names, both directions of TLS.
pub(crate) fn leaf(
    signer: Signer<'_>,
    key: &PublicKey,
    uri: &str,
    dns: &[String],
    validity: Validity,
) -> Result<CertificateDer<'static>, Unspecified> {
    let mut names: Vec<_> = dns.iter().map(|n| value(0x82, &[n.as_bytes()])).collect();
    names.push(value(0x86, &[uri.as_bytes()]));
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let purposes = sequence(&[&oid(SERVER_AUTH), &oid(CLIENT_AUTH)]);
    let mut extensions = vec![
        key_usage(SIGNATURE),
        extension(EXT_KEY_USAGE, false, &purposes),
    ];
    extensions.extend(authority(signer));
    // Critical, because the subject is empty.
    extensions.push(extension(SUBJECT_ALT_NAME, true, &sequence(&names)));
    certificate(signer, &sequence(&[]), key, validity, &extensions)
}

/// A root of its own key.
pub(crate) fn root(
    key: &SigningKey,
    organization: &str,
    validity: Validity,
) -> Result<CertificateDer<'static>, Unspecified> {
    let subject = name(organization);
    let signer = Signer {
        key,
        subject: &subject,
        key_id: None,
    };
    authority_of(signer, &subject, key.public(), SIGNATURE_CERTS, validity)
}

/// An issuer that a root signs.
pub(crate) fn issuer(
    signer: Signer<'_>,
    key: &PublicKey,
    organization: &str,
    validity: Validity,
) -> Result<CertificateDer<'static>, Unspecified> {
    let subject = name(organization);
    // Upstream's issuers do not name the key of their root.
    let unnamed = Signer {
        key_id: None,
        ..signer
    };
    authority_of(unnamed, &subject, key, SIGNATURE_CERTS_CRLS, validity)
}

/// A certificate of a new root's name and key, signed by the issuer before it:
/// the bridge for those who know only the old root.
pub(crate) fn bridge(
    signer: Signer<'_>,
    root_subject: &[u8],
    root_key: &PublicKey,
    validity: Validity,
) -> Result<CertificateDer<'static>, Unspecified> {
    authority_of(signer, root_subject, root_key, SIGNATURE_CERTS, validity)
}

fn authority_of(
    signer: Signer<'_>,
    subject: &[u8],
    key: &PublicKey,
    usage: &[u8],
    validity: Validity,
) -> Result<CertificateDer<'static>, Unspecified> {
    let ca = sequence(&[&value(BOOLEAN, &[&[0xff]])]);
    let mut extensions = vec![
        key_usage(usage),
        extension(BASIC_CONSTRAINTS, true, &ca),
        extension(
            SUBJECT_KEY_ID,
            false,
            &value(OCTET_STRING, &[&key.key_id()]),
        ),
    ];
    extensions.extend(authority(signer));
    certificate(signer, subject, key, validity, &extensions)
}

/// A subject that has an organisation and nothing else, in the string type
/// that Go chooses.
pub(crate) fn name(organization: &str) -> Vec<u8> {
    let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
    let tag = if organization.bytes().all(printable) {
        der::PRINTABLE_STRING
    } else {
        der::UTF8_STRING
    };
    let text = value(tag, &[organization.as_bytes()]);
    let attribute = sequence(&[&oid(&[0x55, 0x04, 0x0a]), &text]);
    sequence(&[&value(SET, &[&attribute])])
}

/// An object identifier of this content.
pub(crate) fn oid(content: &[u8]) -> Vec<u8> {
    value(0x06, &[content])
}

fn extension(id: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let flag = value(BOOLEAN, &[&[0xff]]);
    let content = value(OCTET_STRING, &[content]);
    let flag: &[u8] = if critical { &flag } else { &[] };
    sequence(&[&oid(id), flag, &content])
}

fn key_usage(bits: &[u8]) -> Vec<u8> {
    extension(KEY_USAGE, true, &value(der::BIT_STRING, &[bits]))
}

fn authority(signer: Signer<'_>) -> Option<Vec<u8>> {
    let id = value(0x80, &[signer.key_id?]);
    Some(extension(AUTHORITY_KEY_ID, false, &sequence(&[&id])))
}

fn certificate(
    signer: Signer<'_>,
    subject: &[u8],
    key: &PublicKey,
    validity: Validity,
    extensions: &[Vec<u8>],
) -> Result<CertificateDer<'static>, Unspecified> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)?;
    let (algorithm, parameters) = signer.key.x509_algorithm();
    let parameters: &[u8] = if parameters { &[0x05, 0x00] } else { &[] };
    let algorithm = sequence(&[&oid(algorithm), parameters]);
    let time = |seconds| der::time(seconds).ok_or(Unspecified);
    let validity = sequence(&[&time(validity.not_before)?, &time(validity.not_after)?]);
    let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    let body = sequence(&[
        // Version 3.
        &[0xa0, 0x03, 0x02, 0x01, 0x02],
        &integer(&serial),
        &algorithm,
        signer.subject,
        &validity,
        subject,
        &key.spki(),
        &value(0xa3, &[&sequence(&extensions)]),
    ]);
    let signature = signer.key.sign(&body)?;
    Ok(sequence(&[&body, &algorithm, &bits(&signature)]).into())
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
