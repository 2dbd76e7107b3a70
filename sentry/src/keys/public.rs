//! Public keys, and what their signatures prove.

use aws_lc_rs::signature::{self as sig, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::x509::{Der, NULL};

const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    Ec(Curve),
    Rsa,
}

/// A curve of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(crate) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    /// The bytes of a coordinate.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Its name in a JSON Web Key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }
}

/// A public key; two are equal when they are the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) kind: Kind,
    /// What the bit string of a certificate holds: the key itself, the
    /// uncompressed point, or modulus and exponent.
    pub(crate) bits: Vec<u8>,
}

impl PublicKey {
    /// The key of a certificate or a request, when it is of a kind we know.
    pub(crate) fn from_spki(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        if info.subject_public_key.unused_bits != 0 {
            return None;
        }
        let bits = info.subject_public_key.data.to_vec();
        let curve = || {
            let named = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
            Curve::ALL.into_iter().find(|c| c.oid() == named.as_bytes())
        };
        let kind = match info.algorithm.algorithm.as_bytes() {
            OID_ED25519 if bits.len() == 32 => Kind::Ed25519,
            OID_RSA => Kind::Rsa,
            OID_EC => {
                let curve = curve()?;
                // Compressed points are refused, as Go refuses them.
                if bits.len() != 1 + 2 * curve.size() || bits[0] != 4 {
                    return None;
                }
                Kind::Ec(curve)
            }
            _ => return None,
        };
        Some(Self { kind, bits })
    }

    /// Writes the key as certificates hold it (SubjectPublicKeyInfo).
    pub(crate) fn write_spki(&self, der: &mut Der) {
        der.sequence(|der| {
            der.sequence(|der| match self.kind {
                Kind::Ed25519 => der.oid(OID_ED25519),
                Kind::Rsa => {
                    der.oid(OID_RSA);
                    der.bytes(NULL, &[]);
                }
                Kind::Ec(curve) => {
                    der.oid(OID_EC);
                    der.oid(curve.oid());
                }
            });
            der.bits(&self.bits);
        });
    }

    /// The key as certificates hold it, by itself.
    pub(crate) fn spki(&self) -> Vec<u8> {
        Der::of(|der| self.write_spki(der))
    }

    /// SHA-256 of the key cut to 160 bits: the subject key id.
    pub(crate) fn key_id(&self) -> Vec<u8> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.bits);
        digest.as_ref()[..20].to_vec()
    }

    /// Whether the key made the signature of the message.
    pub(crate) fn verify(
        &self,
        scheme: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = UnparsedPublicKey::new(scheme, &self.bits);
        key.verify(message, signature).is_ok()
    }
}

/// How a key of this kind verifies a certificate's signature algorithm, given
/// by the content of its object identifier.
pub(crate) fn x509_scheme(
    key: &PublicKey,
    oid: &[u8],
) -> Option<&'static dyn VerificationAlgorithm> {
    const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    if key.kind == Kind::Ed25519 {
        return (oid == OID_ED25519).then_some(&sig::ED25519 as _);
    }
    let (last, family) = oid.split_last()?;
    Some(match (key.kind, last) {
        (Kind::Rsa, _) if family != PKCS1 => return None,
        (Kind::Ec(_), _) if family != ECDSA => return None,
        (Kind::Rsa, 11) => &sig::RSA_PKCS1_2048_8192_SHA256,
        (Kind::Rsa, 12) => &sig::RSA_PKCS1_2048_8192_SHA384,
        (Kind::Rsa, 13) => &sig::RSA_PKCS1_2048_8192_SHA512,
        (Kind::Ec(Curve::P256), 2) => &sig::ECDSA_P256_SHA256_ASN1,
        (Kind::Ec(Curve::P256), 3) => &sig::ECDSA_P256_SHA384_ASN1,
        (Kind::Ec(Curve::P256), 4) => &sig::ECDSA_P256_SHA512_ASN1,
        (Kind::Ec(Curve::P384), 2) => &sig::ECDSA_P384_SHA256_ASN1,
        (Kind::Ec(Curve::P384), 3) => &sig::ECDSA_P384_SHA384_ASN1,
        (Kind::Ec(Curve::P384), 4) => &sig::ECDSA_P384_SHA512_ASN1,
        (Kind::Ec(Curve::P521), 2) => &sig::ECDSA_P521_SHA256_ASN1,
        (Kind::Ec(Curve::P521), 3) => &sig::ECDSA_P521_SHA384_ASN1,
        (Kind::Ec(Curve::P521), 4) => &sig::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}
