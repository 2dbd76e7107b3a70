//! Private keys: read in any of the usual forms, made, and signing.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::public::{Curve, Kind, PublicKey};
use crate::x509::pem;

/// A key that signs certificates or tokens; it shows nothing of itself.
pub(crate) struct SigningKey {
    pair: Pair,
    public: PublicKey,
    der: PrivateKeyDer<'static>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    /// Certificates hold signatures in ASN.1, tokens in fixed length.
    Ec {
        asn1: EcdsaKeyPair,
        fixed: EcdsaKeyPair,
    },
    Rsa(Box<RsaKeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public.kind)
    }
}

/// How tokens are signed.
#[derive(Clone, Copy)]
pub(super) enum TokenScheme {
    Rsa(&'static dyn RsaEncoding),
    Fixed,
}

impl SigningKey {
    /// The first private key of a PEM text: PKCS#8, SEC1 or PKCS#1.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, String> {
        if text.len() > pem::MAX_LEN {
            return Err(format!("it has more than {} bytes", pem::MAX_LEN));
        }
        let der = PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| "it has no private key in PEM".to_owned())?;
        let known = Self::from_der(der).ok_or("its key is none of Ed25519, ECDSA and RSA");
        known.map_err(Into::into)
    }

    fn from_der(der: PrivateKeyDer<'static>) -> Option<Self> {
        let bytes = der.secret_der();
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            return Some(Self::new(Kind::Ed25519, Pair::Ed25519(pair), der));
        }
        for (curve, asn1, fixed) in [
            (
                Curve::P256,
                &sig::ECDSA_P256_SHA256_ASN1_SIGNING,
                &sig::ECDSA_P256_SHA256_FIXED_SIGNING,
            ),
            (
                Curve::P384,
                &sig::ECDSA_P384_SHA384_ASN1_SIGNING,
                &sig::ECDSA_P384_SHA384_FIXED_SIGNING,
            ),
            (
                Curve::P521,
                &sig::ECDSA_P521_SHA512_ASN1_SIGNING,
                &sig::ECDSA_P521_SHA512_FIXED_SIGNING,
            ),
        ] {
            let read = |alg: &'static EcdsaSigningAlgorithm| {
                EcdsaKeyPair::from_private_key_der(alg, bytes).ok()
            };
            if let (Some(asn1), Some(fixed)) = (read(asn1), read(fixed)) {
                return Some(Self::new(Kind::Ec(curve), Pair::Ec { asn1, fixed }, der));
            }
        }
        let rsa = RsaKeyPair::from_pkcs8(bytes).or_else(|_| RsaKeyPair::from_der(bytes));
        let rsa = Box::new(rsa.ok()?);
        Some(Self::new(Kind::Rsa, Pair::Rsa(rsa), der))
    }

    fn new(kind: Kind, pair: Pair, der: PrivateKeyDer<'static>) -> Self {
        let bits = match &pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec { asn1, .. } => asn1.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        let public = PublicKey { kind, bits };
        Self { pair, public, der }
    }

    /// A new Ed25519 key.
    pub(crate) fn generate_ed25519() -> Result<Self, Unspecified> {
        let pair = Ed25519KeyPair::generate()?;
        let der = pair.to_pkcs8v1()?.as_ref().to_vec();
        let der = PrivateKeyDer::Pkcs8(der.into());
        Ok(Self::new(Kind::Ed25519, Pair::Ed25519(pair), der))
    }

    /// A new RSA key of 2048 bits.
    pub(crate) fn generate_rsa() -> Result<Self, Unspecified> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?.as_ref().to_vec();
        let der = PrivateKeyDer::Pkcs8(der.into());
        Ok(Self::new(Kind::Rsa, Pair::Rsa(Box::new(pair)), der))
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key for TLS.
    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        self.der.clone_key()
    }

    /// The key as a PEM block.
    pub(crate) fn to_pem(&self) -> String {
        let label = match self.der {
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::encode(label, self.der.secret_der())
    }

    /// The content of the object identifier of its signatures in certificates,
    /// and whether parameters follow it.
    pub(crate) fn x509_algorithm(&self) -> (&'static [u8], bool) {
        match self.public.kind {
            Kind::Ed25519 => (&[0x2b, 0x65, 0x70], false),
            Kind::Ec(Curve::P256) => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], false),
            Kind::Ec(Curve::P384) => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], false),
            Kind::Ec(Curve::P521) => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], false),
            Kind::Rsa => (
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
                true,
            ),
        }
    }

    /// Signs a certificate.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Pair::Ec { asn1, .. } => {
                let signature = asn1.sign(&SystemRandom::new(), message)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => sign_rsa(pair, &sig::RSA_PKCS1_SHA256, message),
        }
    }

    /// Signs a token; the scheme must be one of the key's kind.
    pub(super) fn sign_token(
        &self,
        scheme: TokenScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        match (&self.pair, scheme) {
            (Pair::Ec { fixed, .. }, TokenScheme::Fixed) => {
                let signature = fixed.sign(&SystemRandom::new(), message)?;
                Ok(signature.as_ref().to_vec())
            }
            (Pair::Ed25519(_), TokenScheme::Fixed) => self.sign(message),
            (Pair::Rsa(pair), TokenScheme::Rsa(encoding)) => sign_rsa(pair, encoding, message),
            _ => Err(Unspecified),
        }
    }
}

fn sign_rsa(
    pair: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)?;
    Ok(signature)
}
