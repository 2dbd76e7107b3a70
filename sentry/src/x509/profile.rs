//! What the certificates that Sentry makes look like.

use aws_lc_rs::error::Unspecified;
use rustls::pki_types::CertificateDer;

use super::der::{self, BOOLEAN, Der, NULL, OCTET_STRING, SET};
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
    let subject = Der::of(|der| der.sequence(|_| {}));
    certificate(signer, &subject, key, validity, |der| {
        key_usage(der, SIGNATURE);
        extension(der, EXT_KEY_USAGE, false, |der| {
            der.sequence(|der| {
                der.oid(SERVER_AUTH);
                der.oid(CLIENT_AUTH);
            });
        });
        authority(der, signer);
        // Critical, because the subject is empty.
        extension(der, SUBJECT_ALT_NAME, true, |der| {
            der.sequence(|der| {
                for name in dns {
                    der.bytes(0x82, name.as_bytes());
                }
                der.bytes(0x86, uri.as_bytes());
            });
        });
    })
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
    certificate(signer, subject, key, validity, |der| {
        key_usage(der, usage);
        extension(der, BASIC_CONSTRAINTS, true, |der| {
            der.sequence(|der| der.bytes(BOOLEAN, &[0xff]));
        });
        extension(der, SUBJECT_KEY_ID, false, |der| {
            der.bytes(OCTET_STRING, &key.key_id());
        });
        authority(der, signer);
    })
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
    Der::of(|der| {
        der.sequence(|der| {
            der.value(SET, |der| {
                der.sequence(|der| {
                    der.oid(&[0x55, 0x04, 0x0a]);
                    der.bytes(tag, organization.as_bytes());
                });
            });
        });
    })
}

fn extension(der: &mut Der, id: &[u8], critical: bool, write: impl FnOnce(&mut Der)) {
    der.sequence(|der| {
        der.oid(id);
        if critical {
            der.bytes(BOOLEAN, &[0xff]);
        }
        der.value(OCTET_STRING, write);
    });
}

fn key_usage(der: &mut Der, bits: &[u8]) {
    extension(der, KEY_USAGE, true, |der| {
        der.bytes(der::BIT_STRING, bits);
    });
}

fn authority(der: &mut Der, signer: Signer<'_>) {
    if let Some(id) = signer.key_id {
        extension(der, AUTHORITY_KEY_ID, false, |der| {
            der.sequence(|der| der.bytes(0x80, id));
        });
    }
}

fn certificate(
    signer: Signer<'_>,
    subject: &[u8],
    key: &PublicKey,
    validity: Validity,
    extensions: impl FnOnce(&mut Der),
) -> Result<CertificateDer<'static>, Unspecified> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)?;
    let time = |seconds| der::time(seconds).ok_or(Unspecified);
    let (begin, end) = (time(validity.not_before)?, time(validity.not_after)?);
    let algorithm = |der: &mut Der| {
        let (oid, parameters) = signer.key.x509_algorithm();
        der.sequence(|der| {
            der.oid(oid);
            if parameters {
                der.bytes(NULL, &[]);
            }
        });
    };
    let body = Der::of(|der| {
        der.sequence(|der| {
            // Version 3.
            der.raw(&[0xa0, 0x03, 0x02, 0x01, 0x02]);
            der.integer(&serial);
            algorithm(der);
            der.raw(signer.subject);
            der.sequence(|der| {
                der.raw(&begin);
                der.raw(&end);
            });
            der.raw(subject);
            key.write_spki(der);
            der.value(0xa3, |der| der.sequence(extensions));
        });
    });
    let signature = signer.key.sign(&body)?;
    let whole = Der::of(|der| {
        der.sequence(|der| {
            der.raw(&body);
            algorithm(der);
            der.bits(&signature);
        });
    });
    Ok(whole.into())
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
