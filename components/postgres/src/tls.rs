//! TLS towards the server: libpq's `sslmode` over rustls.

use std::sync::Arc;

use component::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    Nothing,
    /// Who signed it, not whose it is.
    Authority,
    Everything,
}

/// Files in PEM, as the connection string names them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The authorities to trust; the machine's own when empty or `system`.
    pub(crate) root: Option<String>,
    /// The client's certificate and key, for servers that ask for them.
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
}

pub(crate) fn client(verify: Verify, files: &Files) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authority = match verify {
        Verify::Nothing => None,
        _ => {
            let roots = Arc::new(roots(files.root.as_deref())?);
            let built =
                WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            Some(built.map_err(|e| Error::config(format!("sslrootcert cannot be used: {e}")))?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("TLS is not available: {e}")))?;
    let verifier: Arc<dyn ServerCertVerifier> = match (verify, authority) {
        (Verify::Everything, Some(authority)) => authority,
        (_, authority) => Arc::new(Lenient {
            authority,
            provider,
        }),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (certificate, key) = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(builder.with_no_client_auth()),
        _ => {
            return Err(Error::config(
                "sslcert and sslkey belong together: give both or none",
            ));
        }
    };
    let chain = certificates("sslcert", certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| {
        Error::config(format!(
            "sslkey '{key}' cannot be read: {e}; it must be PEM without a password"
        ))
    })?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| Error::config(format!("sslcert '{certificate}' does not fit sslkey: {e}")))
}

fn roots(file: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file.filter(|f| *f != "system") else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates("sslrootcert", file)? {
        roots
            .add(certificate)
            .map_err(|e| Error::config(format!("sslrootcert '{file}' cannot be used: {e}")))?;
    }
    Ok(roots)
}

fn certificates(setting: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(Error::config(format!(
            "{setting} '{file}' holds no certificate"
        ))),
        Ok(found) => Ok(found),
        Err(e) => Err(Error::config(format!(
            "{setting} '{file}' cannot be read: {e}"
        ))),
    }
}

/// Checks the authority at most, not the name.
#[derive(Debug)]
struct Lenient {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
