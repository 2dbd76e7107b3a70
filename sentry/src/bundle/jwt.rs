//! The key that signs tokens, and the set that publishes it.

use crate::keys::{Algorithm, Jwk, JwkSet, SigningKey, thumbprint};

/// What the flags say about the key.
#[derive(Clone, Debug)]
pub(crate) struct JwtOptions {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

/// A signing key whose public half is in its set.
#[derive(Debug)]
pub(crate) struct JwtBundle {
    pub(crate) key: SigningKey,
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) set: JwkSet,
    /// The set as it is stored and served.
    pub(crate) json: Vec<u8>,
}

impl JwtBundle {
    /// Reads key and set, and checks that they fit together and the options.
    pub(crate) fn read(key: &[u8], jwks: &[u8], options: &JwtOptions) -> Result<Self, String> {
        let key = SigningKey::from_pem(key)
            .map_err(|e| format!("failed to read the JWT signing key: {e}"))?;
        let set = JwkSet::parse(jwks)?;
        check(&key, &set, options.key_id.as_deref())?;
        Self::new(key, set, jwks.to_vec(), options)
    }

    /// A new RSA key of 2048 bits, published for RS256.
    pub(crate) fn generate(options: &JwtOptions) -> Result<Self, String> {
        let key = SigningKey::generate_rsa()
            .map_err(|_| "failed to make a JWT signing key".to_owned())?;
        let kid = kid(&key, options);
        let entry = Jwk::of(key.public(), &kid, Algorithm::Rs256);
        let set = JwkSet { keys: vec![entry] };
        let json = serde_json::to_vec(&set).map_err(|e| e.to_string())?;
        Self::new(key, set, json, options)
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.json == other.json && self.kid == other.kid && self.key.public() == other.key.public()
    }

    fn new(
        key: SigningKey,
        set: JwkSet,
        json: Vec<u8>,
        options: &JwtOptions,
    ) -> Result<Self, String> {
        let algorithm = options.algorithm;
        if !algorithm.fits(key.public().kind) {
            return Err(format!(
                "JWT signing algorithm {} does not fit the signing key; set \
                 jwt-signing-algorithm to one of its kind",
                algorithm.name()
            ));
        }
        Ok(Self {
            kid: kid(&key, options),
            algorithm,
            key,
            set,
            json,
        })
    }
}

fn kid(key: &SigningKey, options: &JwtOptions) -> String {
    let given = options.key_id.clone();
    given.unwrap_or_else(|| thumbprint(key.public()))
}

fn check(key: &SigningKey, set: &JwkSet, kid: Option<&str>) -> Result<(), String> {
    if set.keys.is_empty() {
        return Err("JWKS doesn't contain any keys".into());
    }
    let public = key.public();
    let is_key = |k: &Jwk| k.signs() && k.public_key().as_ref() == Some(public);
    let Some(kid) = kid else {
        if set.keys.iter().any(is_key) {
            return Ok(());
        }
        let text = "JWKS doesn't contain a matching public key for the JWT signing key";
        return Err(text.into());
    };
    let mut named = set.keys.iter().filter(|k| k.kid.as_deref() == Some(kid));
    match named.next() {
        None => Err(format!(
            "JWKS doesn't contain a key with user-provided key ID \"{kid}\""
        )),
        Some(entry) if is_key(entry) || named.any(is_key) => Ok(()),
        Some(_) => Err(format!(
            "JWKS contains a key with user-provided key ID \"{kid}\" but the key content \
             doesn't match the signing key"
        )),
    }
}
