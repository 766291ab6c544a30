//! TLS towards what is asked: verified where the answer is believed, not where it is only health.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::sync::Arc;

/// The trusted authorities of Debian, Ubuntu and Alpine: where edges look for them too.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS towards one server.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom it trusts.
    pub config: Arc<ClientConfig>,
    /// The name that is sent, and expected in the certificate.
    pub name: ServerName<'static>,
}

/// Two are the same if they lead to the same connections.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.config, &other.config)
    }
}

/// Trusts the authorities in a file.
///
/// # Errors
/// What is wrong with the file, without a byte of it.
pub fn verified(authorities: &Path) -> Result<Arc<ClientConfig>, String> {
    let wrong = |reason: String| format!("{}: {reason}", authorities.display());
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(authorities)
        .and_then(|certificates| certificates.collect())
        .map_err(|error| {
            wrong(match error {
                rustls_pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
                _ => "is not valid PEM".to_owned(),
            })
        })?;
    let mut roots = RootCertStore::empty();
    // Public bundles hold a certificate or two that rustls does not take.
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        return Err(wrong("holds no certificate of an authority that could be used".to_owned()));
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Believes every certificate (R24): a check asks for health and tells nothing.
///
/// # Errors
/// Never in practice: the provider is built in.
pub fn unverified() -> Result<Arc<ClientConfig>, String> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let anyone = Arc::new(Anyone(algorithms));
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()))
}

/// The server's name for TLS.
///
/// # Errors
/// If the text is neither a DNS name nor an address.
pub fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("\"{name}\" is neither a DNS name nor an IP address"))
}

/// Named, not taken from the process: another crate may have chosen another.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
