//! Encryption at rest. A record is `base64(nonce + ciphertext)||<secret name>`;
//! the name picks the key when it is read.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use component::Error;
use component::state::Value;

use crate::api::json;

pub(crate) struct Encryption {
    primary: Key,
    secondary: Option<Key>,
}

struct Key {
    name: String,
    aead: LessSafeKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

impl Key {
    fn new((name, hex_key): (String, String)) -> Result<Self, String> {
        // The texts never hold the key.
        let bytes = hex::decode(hex_key.trim()).map_err(|_| {
            format!(
                "encryption key of secret {name} is not hexadecimal; store 32, 48 or 64 hex digits"
            )
        })?;
        let algorithm = match bytes.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            n => {
                return Err(format!(
                    "encryption key of secret {name} has {n} bytes; it must have 16, 24 or 32"
                ));
            }
        };
        let key = UnboundKey::new(algorithm, &bytes)
            .map_err(|_| format!("encryption key of secret {name} is unusable"))?;
        Ok(Self {
            name,
            aead: LessSafeKey::new(key),
        })
    }
}

impl Encryption {
    /// Keys as (secret name, hexadecimal text). A secondary key alone encrypts nothing.
    pub(crate) fn new(
        primary: Option<(String, String)>,
        secondary: Option<(String, String)>,
    ) -> Result<Option<Self>, String> {
        let secondary = secondary.map(Key::new).transpose()?;
        Ok(match primary {
            Some(key) => Some(Self {
                primary: Key::new(key)?,
                secondary,
            }),
            None => None,
        })
    }

    /// A JSON string is sealed without its quotes, as upstream does, so that both
    /// read each other's records. Objects and lists are sealed as JSON: upstream
    /// seals Go's debug print of them, which nobody can read back.
    pub(crate) fn encrypt(&self, value: &Value) -> Result<Bytes, Error> {
        let bare = match value {
            Value::Json(text) => json::as_str(text).map(String::into_bytes),
            Value::Bytes(_) => None,
        };
        let mut sealed = bare.unwrap_or_else(|| value.bytes().to_vec());
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce)
            .map_err(|_| Error::internal("no random bytes for the nonce"))?;
        let key = &self.primary;
        key.aead
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| {
                Error::internal(format!(
                    "cannot encrypt with the key of secret {}",
                    key.name
                ))
            })?;
        let mut record = nonce.to_vec();
        record.append(&mut sealed);
        Ok(format!("{}||{}", STANDARD.encode(record), key.name).into())
    }

    pub(crate) fn decrypt(&self, store: &str, record: &[u8]) -> Result<Bytes, Error> {
        if record.is_empty() {
            return Ok(Bytes::new());
        }
        let fail = |cause: String| {
            Error::internal(format!(
                "could not decrypt data for state store {store}: {cause}"
            ))
        };
        let text =
            std::str::from_utf8(record).map_err(|_| fail("the record is not text".into()))?;
        // JSON stores hold the record as a string.
        let unquoted = json::as_str(text.as_bytes());
        let text = unquoted.as_deref().unwrap_or(text);
        let (data, name) = text
            .rsplit_once("||")
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| fail("encryption key name not found on record".into()))?;
        let key = std::iter::once(&self.primary)
            .chain(&self.secondary)
            .find(|key| key.name == name)
            .ok_or_else(|| fail(format!("the record was encrypted with the key of secret {name}, which is not configured; set it as secondaryEncryptionKey")))?;
        let mut sealed = STANDARD
            .decode(data)
            .map_err(|_| fail("the record is not base64".into()))?;
        if sealed.len() < NONCE_LEN {
            return Err(fail("the record is too short".into()));
        }
        let mut ciphertext = sealed.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&sealed)
            .map_err(|_| fail("the record is too short".into()))?;
        let plain = key
            .aead
            .open_in_place(nonce, Aad::empty(), &mut ciphertext)
            .map_err(|_| fail(format!("the key of secret {name} does not fit the record")))?;
        Ok(Bytes::copy_from_slice(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(primary: &str, secondary: Option<&str>) -> Encryption {
        let key = |name: &str| (name.to_owned(), hex::encode([name.len() as u8; 32]));
        Encryption::new(Some(key(primary)), secondary.map(key))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn what_one_key_seals_the_same_key_opens_as_primary_or_secondary() {
        for (value, plain) in [
            (
                Value::Bytes(Bytes::from_static(b"\x00raw")),
                &b"\x00raw"[..],
            ),
            (
                Value::Json(Bytes::from_static(br#""text \u0026""#)),
                b"text &",
            ),
            (
                Value::Json(Bytes::from_static(br#"{"a":1}"#)),
                br#"{"a":1}"#,
            ),
            (Value::Bytes(Bytes::new()), b""),
        ] {
            let record = keys("old", None).encrypt(&value).unwrap();
            assert!(record.ends_with(b"||old"));
            assert_eq!(
                keys("newer", Some("old")).decrypt("s", &record).unwrap(),
                plain
            );
        }
    }

    #[test]
    fn a_record_that_cannot_be_opened_is_an_error_that_names_the_cause() {
        let record = keys("old", None)
            .encrypt(&Value::Bytes("x".into()))
            .unwrap();
        let tampered = [b"AAAA", &record[4..]].concat();
        for (record, part) in [
            (
                &b"plain text"[..],
                "encryption key name not found on record",
            ),
            (b"abc||", "encryption key name not found on record"),
            (b"abc||other", "secret other, which is not configured"),
            (b"AA==||old", "too short"),
            (b"\xff\xfe", "not text"),
            (&tampered, "does not fit"),
        ] {
            let error = keys("old", None).decrypt("s", record).unwrap_err();
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn a_bad_key_is_refused_without_showing_it() {
        for bad in ["zz".repeat(16), "ab".repeat(5), String::new()] {
            let error = Encryption::new(Some(("s".into(), bad.clone())), None)
                .map(|_| ())
                .unwrap_err();
            assert!(
                error.contains("secret s") && (bad.is_empty() || !error.contains(&bad)),
                "{error}"
            );
        }
    }
}
