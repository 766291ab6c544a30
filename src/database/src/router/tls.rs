//! TLS towards clients and towards nodes, by rustls.

use super::stream::Stream;
use evenkeel_config::database::{NodeTls, ServerTls};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// PostgreSQL's name in ALPN. Clients that begin with TLS at once must name it (PostgreSQL 17).
pub const ALPN: &[u8] = b"postgresql";

/// Where Debian and most others keep the public authorities.
const DEFAULT_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or does not hold what it should.
    #[error("{field}: {}: {remedy}", path.display())]
    File {
        /// The configuration's field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        remedy: String,
    },
    /// The certificate and the key do not go together, or rustls does not take them.
    #[error("database.server_tls: {0}")]
    Pair(rustls::Error),
    /// The expected server name is none.
    #[error("database.node_tls.server_name: \"{0}\" is neither a DNS name nor an IP address")]
    ServerName(String),
}

/// TLS towards clients.
#[derive(Clone)]
pub struct ClientSide {
    acceptor: TlsAcceptor,
    /// Whether a client without TLS is refused.
    pub required: bool,
}

impl ClientSide {
    /// Reads the certificate and the key.
    ///
    /// # Errors
    /// The field, the file, and what is wrong with it.
    pub fn load(config: &ServerTls) -> Result<Self, TlsError> {
        let field = "database.server_tls.certificate";
        let chain = certificates(field, &config.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| TlsError::File {
            field: "database.server_tls.key",
            path: config.key.clone(),
            remedy: match error {
                rustls_pki_types::pem::Error::NoItemsFound => "holds no private key in PEM".to_owned(),
                other => reason(&other),
            },
        })?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        Ok(ClientSide { acceptor: TlsAcceptor::from(Arc::new(server)), required: config.required })
    }

    /// Takes a client's handshake.
    ///
    /// # Errors
    /// What the handshake fails with.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<Stream> {
        let tls = self.acceptor.accept(tcp).await?;
        Ok(Stream::Tls(Box::new(TlsStream::Server(tls))))
    }
}

/// TLS towards nodes: the certificate is verified.
#[derive(Clone)]
pub struct NodeSide {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl NodeSide {
    /// Reads the trusted authorities.
    ///
    /// # Errors
    /// The field, the file, and what is wrong with it.
    pub fn load(config: &NodeTls) -> Result<Self, TlsError> {
        let field = "database.node_tls.ca";
        let path = config.ca.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CA));
        let mut roots = RootCertStore::empty();
        // Public bundles hold a certificate or two that rustls does not take: one that it does take is
        // enough to go on.
        let (added, _) = roots.add_parsable_certificates(certificates(field, &path)?);
        if added == 0 {
            let remedy = "holds no certificate of an authority that could be used".to_owned();
            return Err(TlsError::File { field, path, remedy });
        }
        let server_name = match &config.server_name {
            None => None,
            Some(name) => {
                Some(ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()))?)
            }
        };
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(NodeSide { connector: TlsConnector::from(Arc::new(client)), server_name })
    }

    /// Whom to trust.
    pub fn client(&self) -> &Arc<ClientConfig> {
        self.connector.config()
    }

    /// Begins TLS with a node that has agreed to it.
    ///
    /// # Errors
    /// What the handshake fails with, an untrusted certificate among it.
    pub async fn connect(&self, tcp: TcpStream, host: &str) -> io::Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no server name"))?,
        };
        let tls = self.connector.connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(tls))))
    }
}

/// Named, not taken from the process: another crate may have chosen another.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |remedy: String| TlsError::File { field, path: path.to_owned(), remedy };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect())
        .map_err(|error| wrong(reason(&error)))?;
    if found.is_empty() { Err(wrong("holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

/// In words, without a byte of the file.
fn reason(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
        _ => "is not valid PEM".to_owned(),
    }
}
