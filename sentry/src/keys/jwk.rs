//! JSON Web Keys: the public keys of tokens.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x509_parser::prelude::FromDer;

use super::jws::Algorithm;
use super::public::{Curve, Kind, PublicKey};
use crate::x509::Der;

/// The largest set that is read, in bytes.
pub(crate) const MAX_LEN: usize = 1 << 20;
/// The most keys of a set.
const MAX_KEYS: usize = 256;

/// One key of a set; members that we do not know stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alg: Option<String>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<String>,
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

/// A set of keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct JwkSet {
    pub(crate) keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a set, with bounds.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_LEN {
            return Err(format!("the JWKS has more than {MAX_LEN} bytes"));
        }
        let set: Self =
            serde_json::from_slice(text).map_err(|e| format!("the JWKS is malformed: {e}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("the JWKS has more than {MAX_KEYS} keys"));
        }
        Ok(set)
    }
}

impl Jwk {
    /// The entry of a key that signs.
    pub(crate) fn of(key: &PublicKey, kid: &str, algorithm: Algorithm) -> Self {
        Self {
            kty: kty(key.kind).into(),
            kid: Some(kid.into()),
            alg: Some(algorithm.name().into()),
            usage: Some("sig".into()),
            members: members(key).into_iter().collect(),
        }
    }

    /// The key itself, when it is of a kind we know.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        let bytes = |name: &str| {
            let text = self.members.get(name)?.as_str()?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        let named = || self.members.get("crv")?.as_str();
        match self.kty.as_str() {
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let bits = Der::of(|der| {
                    der.sequence(|der| {
                        der.integer(&n);
                        der.integer(&e);
                    });
                });
                let kind = Kind::Rsa;
                Some(PublicKey { kind, bits })
            }
            "EC" => {
                let name = named()?;
                let curve = Curve::ALL.into_iter().find(|c| c.name() == name)?;
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() > curve.size() || y.len() > curve.size() {
                    return None;
                }
                let mut bits = vec![4];
                for coordinate in [x, y] {
                    bits.resize(bits.len() + curve.size() - coordinate.len(), 0);
                    bits.extend(coordinate);
                }
                let kind = Kind::Ec(curve);
                Some(PublicKey { kind, bits })
            }
            "OKP" if named() == Some("Ed25519") => {
                let bits = bytes("x").filter(|x| x.len() == 32)?;
                let kind = Kind::Ed25519;
                Some(PublicKey { kind, bits })
            }
            _ => None,
        }
    }

    /// Whether it may be used for signatures: `use` is absent or `sig`.
    pub(crate) fn signs(&self) -> bool {
        self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }
}

fn kty(kind: Kind) -> &'static str {
    match kind {
        Kind::Rsa => "RSA",
        Kind::Ec(_) => "EC",
        Kind::Ed25519 => "OKP",
    }
}

/// The members that make up a key.
fn members(key: &PublicKey) -> Vec<(String, Value)> {
    let text = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let pairs = match key.kind {
        Kind::Ed25519 => vec![("crv", "Ed25519".into()), ("x", text(&key.bits))],
        Kind::Ec(curve) => {
            let (x, y) = key.bits[1..].split_at(curve.size());
            vec![("crv", curve.name().into()), ("x", text(x)), ("y", text(y))]
        }
        Kind::Rsa => match x509_parser::public_key::RSAPublicKey::from_der(&key.bits) {
            Ok((_, rsa)) => vec![
                ("e", text(unsigned(rsa.exponent))),
                ("n", text(unsigned(rsa.modulus))),
            ],
            Err(_) => Vec::new(),
        },
    };
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn unsigned(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    &bytes[start..]
}

/// The thumbprint of a key (RFC 7638) by SHA-256, in standard base64.
pub(crate) fn thumbprint(key: &PublicKey) -> String {
    let mut all: BTreeMap<String, Value> = members(key).into_iter().collect();
    all.insert("kty".into(), kty(key.kind).into());
    // Sorted by name and without spaces, as the standard wants it; values are
    // plain texts, for which this cannot fail.
    let canonical = serde_json::to_vec(&all).unwrap_or_default();
    STANDARD.encode(digest(&SHA256, &canonical))
}
