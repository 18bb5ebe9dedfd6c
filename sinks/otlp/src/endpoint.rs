//! Where incidents are exported to, and how: the variables that OpenTelemetry's specification has for exporters over OTLP/gRPC
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Headers, timeout and compression are the library's own affair.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where OTLP/gRPC is expected when nobody names an endpoint.
const DEFAULT: &str = "http://127.0.0.1:4317";
/// Port of the other transport of OTLP, by its registration.
const HTTP_PORT: u16 = 4318;

/// Where to, and how. What is empty counts as not given.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// OTLP/gRPC endpoint of traces and log records
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", default_value = DEFAULT)]
    pub endpoint: String,
    /// Endpoint of traces, where it is another
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    pub traces_endpoint: Option<String>,
    /// Endpoint of log records, where it is another
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", value_name = "URL")]
    pub logs_endpoint: Option<String>,
    /// `true`: an endpoint without `http://` or `https://` is spoken to without TLS
    #[arg(long, env = "OTEL_EXPORTER_OTLP_INSECURE", value_name = "BOOLEAN")]
    pub insecure: Option<String>,
    /// Transport; only `grpc` is spoken here
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", value_name = "NAME")]
    pub protocol: Option<String>,
    /// Certificates (PEM) that the backend's is verified with, instead of this system's
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<String>,
    /// Own certificate (PEM), for a backend that verifies its clients
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", value_name = "FILE")]
    pub client_certificate: Option<String>,
    /// Private key (PEM) of that certificate
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<String>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL.
    #[error("OTLP endpoint {endpoint:?} is not a URL such as http://localhost:4317")]
    Url {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// Neither `http` nor `https`.
    #[error("OTLP endpoint {endpoint:?} is neither http://… nor https://…")]
    Scheme {
        /// What was given.
        endpoint: String,
    },
    /// OTLP over HTTP was asked for.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol:?}, and incidents are exported over grpc alone: \
         name the backend's gRPC endpoint, mostly on port 4317"
    )]
    Protocol {
        /// What was asked for.
        protocol: String,
    },
    /// A file with a certificate or a key cannot be read.
    #[error("{file}, named by {variable}, cannot be read")]
    File {
        /// By which variable it was named.
        variable: &'static str,
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate without its key, or the other way round.
    #[error(
        "of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY only one is given: give both or none"
    )]
    Half,
    /// The certificates are of no use.
    #[error("TLS to the OTLP endpoint {endpoint:?} cannot be set up")]
    Tls {
        /// What was given.
        endpoint: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Settings {
    /// Everything to one endpoint.
    pub fn to(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            ..Self::default()
        }
    }

    /// A channel for traces; it connects when it is first used, and again when the connection is lost.
    pub(crate) fn traces(&self) -> Result<Channel, Error> {
        self.channel(self.traces_endpoint.as_ref())
    }

    /// The same for log records.
    pub(crate) fn logs(&self) -> Result<Channel, Error> {
        self.channel(self.logs_endpoint.as_ref())
    }

    fn channel(&self, own: Option<&String>) -> Result<Channel, Error> {
        if let Some(protocol) = given(self.protocol.as_ref()).filter(|protocol| *protocol != "grpc") {
            let protocol = protocol.to_owned();
            return Err(Error::Protocol { protocol });
        }
        let endpoint = given(own).or(given(Some(&self.endpoint))).unwrap_or(DEFAULT);
        let parsed = Endpoint::from_shared(self.with_scheme(endpoint)).map_err(|source| Error::Url {
            endpoint: endpoint.to_owned(),
            source,
        })?;
        if parsed.uri().port_u16() == Some(HTTP_PORT) {
            tracing::warn!(
                endpoint,
                "mostly OTLP/HTTP, which is not spoken here: gRPC is mostly on port 4317"
            );
        }
        let parsed = parsed.connect_timeout(CONNECT_TIMEOUT);
        let secured = match parsed.uri().scheme_str() {
            Some("http") => parsed,
            Some("https") => self.secured(parsed, endpoint)?,
            _ => {
                let endpoint = endpoint.to_owned();
                return Err(Error::Scheme { endpoint });
            }
        };
        Ok(secured.connect_lazy())
    }

    /// Without a scheme TLS is spoken, unless that is said to be unwanted.
    fn with_scheme(&self, endpoint: &str) -> String {
        if endpoint.contains("://") {
            return endpoint.to_owned();
        }
        let is_insecure = given(self.insecure.as_ref()).is_some_and(|word| word.eq_ignore_ascii_case("true"));
        format!("{}://{endpoint}", if is_insecure { "http" } else { "https" })
    }

    fn secured(&self, parsed: Endpoint, endpoint: &str) -> Result<Endpoint, Error> {
        let certificate = read("OTEL_EXPORTER_OTLP_CERTIFICATE", self.certificate.as_ref())?;
        let own = read(
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            self.client_certificate.as_ref(),
        )?;
        let key = read("OTEL_EXPORTER_OTLP_CLIENT_KEY", self.client_key.as_ref())?;
        let config = match (own, key) {
            (Some(own), Some(key)) => ClientTlsConfig::new().identity(Identity::from_pem(own, key)),
            (None, None) => ClientTlsConfig::new(),
            (Some(_), None) | (None, Some(_)) => return Err(Error::Half),
        };
        let secured = match certificate {
            Some(certificate) => parsed.tls_config(config.ca_certificate(Certificate::from_pem(certificate))),
            // A container has no certificates of its own: there those of Mozilla count.
            None => parsed
                .clone()
                .tls_config(config.clone().with_native_roots())
                .or_else(|_| parsed.tls_config(config.with_webpki_roots())),
        };
        secured.map_err(|source| Error::Tls {
            endpoint: endpoint.to_owned(),
            source,
        })
    }
}

fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

fn read(variable: &'static str, file: Option<&String>) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = given(file) else {
        return Ok(None);
    };
    let read = std::fs::read(file).map_err(|source| Error::File {
        variable,
        file: file.to_owned(),
        source,
    });
    read.map(Some)
}
