//! Signed tokens (JWS in its compact form): made, and checked against a key.

use aws_lc_rs::signature::{self as sig, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::private::{SigningKey, TokenScheme};
use super::public::{Curve, Kind, PublicKey};

/// The longest token that is read, in bytes.
pub(crate) const MAX_LEN: usize = 64 << 10;

/// An algorithm of tokens. There is none for shared secrets, and no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

impl Algorithm {
    const ALL: [(Self, &'static str); 10] = [
        (Rs256, "RS256"),
        (Rs384, "RS384"),
        (Rs512, "RS512"),
        (Ps256, "PS256"),
        (Ps384, "PS384"),
        (Ps512, "PS512"),
        (Es256, "ES256"),
        (Es384, "ES384"),
        (Es512, "ES512"),
        (EdDsa, "EdDSA"),
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, n)| *n == name);
        found.map(|(algorithm, _)| algorithm)
    }

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(a, _)| *a == self);
        found.map_or("", |(_, name)| name)
    }

    /// Whether keys of this kind sign with it.
    pub(crate) fn fits(self, kind: Kind) -> bool {
        match self {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => kind == Kind::Rsa,
            Es256 => kind == Kind::Ec(Curve::P256),
            Es384 => kind == Kind::Ec(Curve::P384),
            Es512 => kind == Kind::Ec(Curve::P521),
            EdDsa => kind == Kind::Ed25519,
        }
    }

    fn signs(self) -> TokenScheme {
        match self {
            Rs256 => TokenScheme::Rsa(&sig::RSA_PKCS1_SHA256),
            Rs384 => TokenScheme::Rsa(&sig::RSA_PKCS1_SHA384),
            Rs512 => TokenScheme::Rsa(&sig::RSA_PKCS1_SHA512),
            Ps256 => TokenScheme::Rsa(&sig::RSA_PSS_SHA256),
            Ps384 => TokenScheme::Rsa(&sig::RSA_PSS_SHA384),
            Ps512 => TokenScheme::Rsa(&sig::RSA_PSS_SHA512),
            Es256 | Es384 | Es512 | EdDsa => TokenScheme::Fixed,
        }
    }

    fn verifies(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Rs256 => &sig::RSA_PKCS1_2048_8192_SHA256,
            Rs384 => &sig::RSA_PKCS1_2048_8192_SHA384,
            Rs512 => &sig::RSA_PKCS1_2048_8192_SHA512,
            Ps256 => &sig::RSA_PSS_2048_8192_SHA256,
            Ps384 => &sig::RSA_PSS_2048_8192_SHA384,
            Ps512 => &sig::RSA_PSS_2048_8192_SHA512,
            Es256 => &sig::ECDSA_P256_SHA256_FIXED,
            Es384 => &sig::ECDSA_P384_SHA384_FIXED,
            Es512 => &sig::ECDSA_P521_SHA512_FIXED,
            EdDsa => &sig::ED25519,
        }
    }
}

/// Makes a token of these claims.
pub(crate) fn sign_token(
    key: &SigningKey,
    algorithm: Algorithm,
    kid: &str,
    claims: &impl Serialize,
) -> Result<String, String> {
    #[derive(Serialize)]
    struct Header<'a> {
        alg: &'a str,
        kid: &'a str,
        typ: &'a str,
    }
    let header = Header {
        alg: algorithm.name(),
        kid,
        typ: "JWT",
    };
    let part = |json: serde_json::Result<Vec<u8>>| {
        let json = json.map_err(|e| e.to_string())?;
        Ok::<_, String>(URL_SAFE_NO_PAD.encode(json))
    };
    let header = part(serde_json::to_vec(&header))?;
    let mut token = format!("{header}.{}", part(serde_json::to_vec(claims))?);
    let signature = key
        .sign_token(algorithm.signs(), token.as_bytes())
        .map_err(|_| "the key cannot sign".to_owned())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

/// A token that was taken apart; nothing it says is proven yet.
pub(crate) struct Untrusted<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Vec<u8>,
}

impl<'a> Untrusted<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
            #[serde(default)]
            crit: Option<serde::de::IgnoredAny>,
        }
        if token.len() > MAX_LEN {
            return Err(format!("the token has more than {MAX_LEN} bytes"));
        }
        let malformed = || "the token is no signed JWT".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed())?;
        if header.crit.is_some() {
            return Err("the token has extensions that must be understood".into());
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or_else(|| {
            format!(
                "the token's algorithm {} is not supported",
                service::quote::quoted(&header.alg)
            )
        })?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            signed,
            signature: decode(signature)?,
            claims: decode(claims)?,
        })
    }

    /// The claims, once the key proves to have signed them.
    pub(crate) fn verify(&self, key: &PublicKey) -> Option<&[u8]> {
        let proven = self.algorithm.fits(key.kind)
            && key.verify(
                self.algorithm.verifies(),
                self.signed.as_bytes(),
                &self.signature,
            );
        proven.then_some(&self.claims)
    }
}
