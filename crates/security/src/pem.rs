//! Certificates and keys as PEM: read with bounds, written in the usual lines.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The longest text that is read, in bytes.
pub const MAX_LEN: usize = 1 << 20;
/// The most certificates that one text may hold.
pub const MAX_CERTIFICATES: usize = 256;

/// Why a text was refused; the text itself is in no error, it may hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the PEM text has {0} bytes, more than {MAX_LEN}")]
    TooLong(usize),
    #[error("the PEM text has more than {MAX_CERTIFICATES} certificates")]
    TooMany,
    #[error("the PEM text has no certificate")]
    NoCertificate,
    #[error("the PEM text has no private key")]
    NoKey,
    #[error("a PEM block has no end line")]
    Unfinished,
    #[error("a PEM block is malformed")]
    Malformed,
}

impl From<pem::Error> for Error {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::MissingSectionEnd { .. } => Self::Unfinished,
            _ => Self::Malformed,
        }
    }
}

/// Every certificate of the text, at least one, in its order. Text between the
/// blocks and blocks of other types are passed over.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    bounded(text)?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        if found.len() == MAX_CERTIFICATES {
            return Err(Error::TooMany);
        }
        found.push(certificate?);
    }
    if found.is_empty() {
        return Err(Error::NoCertificate);
    }
    Ok(found)
}

/// The first private key of the text: PKCS#8, SEC1 or PKCS#1.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    bounded(text)?;
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey,
        other => other.into(),
    })
}

fn bounded(text: &[u8]) -> Result<(), Error> {
    if text.len() > MAX_LEN {
        return Err(Error::TooLong(text.len()));
    }
    Ok(())
}

/// One block, such as `encode("CERTIFICATE", der)`, with its final line end.
pub fn encode(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// The certificates as blocks one after the other.
pub fn encode_certificates<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> String {
    let blocks = certificates.into_iter().map(|c| encode("CERTIFICATE", c));
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_other_blocks_are_passed_over() {
        let text = format!(
            "# the old root\r\n{}between\n{}{}",
            encode("CERTIFICATE", b"one"),
            encode("X509 CRL", b"no"),
            encode("CERTIFICATE", &[7; 100]),
        );
        let found = certificates(text.as_bytes()).unwrap();
        assert_eq!(found, [b"one".to_vec().into(), vec![7; 100].into()]);
    }

    #[test]
    fn what_is_no_certificate_is_refused_in_clear_words() {
        let one = encode("CERTIFICATE", &[1; 60]);
        let cut = &one[..one.len() - 10];
        let many = one.repeat(MAX_CERTIFICATES + 1);
        for (text, expected) in [
            ("", Error::NoCertificate),
            ("hello", Error::NoCertificate),
            ("-----BEGIN CERTIFICATE-----\nAAAA", Error::Unfinished),
            (cut, Error::Unfinished),
            ("-----BEGIN CERTIFI", Error::Malformed),
            (
                "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
                Error::Malformed,
            ),
            (&many, Error::TooMany),
            (&" ".repeat(MAX_LEN + 1), Error::TooLong(MAX_LEN + 1)),
        ] {
            assert_eq!(certificates(text.as_bytes()), Err(expected));
        }
        assert_eq!(private_key(one.as_bytes()).unwrap_err(), Error::NoKey);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(-----(BEGIN|END) [A-Z ]{0,12}-----|[A-Za-z0-9+/=#\n-]|\\PC){0,40}") {
            let _ = certificates(text.as_bytes());
            let _ = private_key(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read_back(der in prop::collection::vec(any::<u8>(), 1..300)) {
            let found = certificates(encode("CERTIFICATE", &der).as_bytes()).unwrap();
            prop_assert_eq!(found, [CertificateDer::from(der)]);
        }
    }
}
