//! PEM blocks: written in the usual lines, read with bounds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};

/// The longest file that is read, in bytes.
pub(crate) const MAX_LEN: usize = 1 << 20;
/// The most certificates of one file.
const MAX_CERTIFICATES: usize = 256;

/// One block with its final line end.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    encode_before(label, der, "")
}

/// The block, and behind it a text that is PEM already.
pub(crate) fn encode_before(label: &str, der: &[u8], rest: &str) -> String {
    let body = STANDARD.encode(der);
    let frame = 2 * label.len() + 36;
    let mut out = String::with_capacity(frame + body.len() + body.len() / 64 + 1 + rest.len());
    for part in ["-----BEGIN ", label, "-----\n"] {
        out.push_str(part);
    }
    let mut left = body.as_str();
    while !left.is_empty() {
        let (line, after) = left.split_at(left.len().min(64));
        out.push_str(line);
        out.push('\n');
        left = after;
    }
    for part in ["-----END ", label, "-----\n", rest] {
        out.push_str(part);
    }
    out
}

/// Every certificate of a text, at least one. The text itself is in no error.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if text.len() > MAX_LEN {
        return Err(format!("it has more than {MAX_LEN} bytes"));
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text)
        .take(MAX_CERTIFICATES + 1)
        .collect();
    let found = found.map_err(|_| "a PEM block is malformed or cut off".to_owned())?;
    match found.len() {
        0 => Err("it has no certificate".into()),
        1..=MAX_CERTIFICATES => Ok(found),
        _ => Err(format!("it has more than {MAX_CERTIFICATES} certificates")),
    }
}

/// The kind and the content of the first block of a text.
pub(crate) fn first(text: &[u8]) -> Option<(SectionKind, Vec<u8>)> {
    <(SectionKind, Vec<u8>)>::from_pem_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_without_comments() {
        let text = format!(
            "# old root\n{}between\n{}",
            encode("CERTIFICATE", &[1; 100]),
            encode("CERTIFICATE", b"two"),
        );
        let found = certificates(text.as_bytes()).unwrap();
        assert_eq!(found, [vec![1; 100].into(), b"two".to_vec().into()]);
    }

    #[test]
    fn cut_empty_and_endless_texts_are_refused() {
        let one = encode("CERTIFICATE", &[1; 60]);
        for (text, part) in [
            (String::new(), "no certificate"),
            (one[..one.len() - 9].to_owned(), "malformed or cut off"),
            (one.repeat(MAX_CERTIFICATES + 1), "certificates"),
            (" ".repeat(MAX_LEN + 1), "bytes"),
        ] {
            let error = certificates(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
