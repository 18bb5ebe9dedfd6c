//! Whom to trust, and who one is, for either transport.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Certificates and keys as they were read, PEM.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pem {
    /// Those that the backend's certificate is verified with; `None`: this system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Own certificate and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Pem {
    /// TLS for OTLP/gRPC.
    pub(crate) fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, Failure> {
        let config = match &self.identity {
            Some((own, key)) => ClientTlsConfig::new().identity(Identity::from_pem(own, key)),
            None => ClientTlsConfig::new(),
        };
        let secured = match &self.authorities {
            Some(authorities) => {
                endpoint.tls_config(config.ca_certificate(Certificate::from_pem(authorities)))
            }
            // A container has no certificates of its own: there those of Mozilla count.
            None => endpoint
                .clone()
                .tls_config(config.clone().with_native_roots())
                .or_else(|_| endpoint.tls_config(config.with_webpki_roots())),
        };
        secured.map_err(Into::into)
    }

    /// TLS for OTLP/HTTP.
    pub(crate) fn config(&self) -> Result<ClientConfig, Failure> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        let config = match &self.identity {
            Some((own, key)) => {
                let chain = CertificateDer::pem_slice_iter(own).collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Failure> {
        let mut roots = RootCertStore::empty();
        if let Some(authorities) = &self.authorities {
            for authority in CertificateDer::pem_slice_iter(authorities) {
                roots.add(authority?)?;
            }
            return Ok(roots);
        }
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Ok(roots)
    }
}
