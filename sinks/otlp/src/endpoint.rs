//! Where incidents are exported to, and how: the variables that OpenTelemetry's specification has for exporters over OTLP
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Headers, timeout and compression are the library's own affair.

use crate::tls::Pem;
use crate::transport::Transport;

/// Ports of the two transports of OTLP, by their registration.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

/// Where to, and how. What is empty counts as not given.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// OTLP endpoint of traces and log records; over HTTP `/v1/traces` and `/v1/logs` are added [default: port 4317, or over HTTP
    /// 4318, of this host]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Endpoint of traces, where it is another: nothing is added to it
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    pub traces_endpoint: Option<String>,
    /// Endpoint of log records, where it is another: nothing is added to it
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", value_name = "URL")]
    pub logs_endpoint: Option<String>,
    /// `true`: an endpoint without `http://` or `https://` is spoken to without TLS
    #[arg(long, env = "OTEL_EXPORTER_OTLP_INSECURE", value_name = "BOOLEAN")]
    pub insecure: Option<String>,
    /// `grpc` or `http/protobuf` [default: `http/protobuf` for endpoints with port 4318, else `grpc`]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", value_name = "NAME")]
    pub protocol: Option<String>,
    /// The same for traces, where it is another
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", value_name = "NAME")]
    pub traces_protocol: Option<String>,
    /// The same for log records, where it is another
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", value_name = "NAME")]
    pub logs_protocol: Option<String>,
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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Neither `http` nor `https`.
    #[error("OTLP endpoint {endpoint:?} is neither http://… nor https://…")]
    Scheme {
        /// What was given.
        endpoint: String,
    },
    /// A transport or a coding that is not spoken here.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol:?}, and incidents are exported over \"grpc\" (mostly on port 4317) or \
         \"http/protobuf\" (mostly on port 4318)"
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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Traces,
    Logs,
}

/// By which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Settings {
    /// Everything to one endpoint.
    pub fn to(endpoint: &str) -> Self {
        Self {
            endpoint: Some(endpoint.to_owned()),
            ..Self::default()
        }
    }

    /// The way of a signal. It connects when it is first used, and again when the connection is lost.
    pub(crate) fn transport(&self, signal: Signal) -> Result<Transport, Error> {
        let (own_endpoint, own_protocol) = match signal {
            Signal::Traces => (&self.traces_endpoint, &self.traces_protocol),
            Signal::Logs => (&self.logs_endpoint, &self.logs_protocol),
        };
        let (own, common) = (given(own_endpoint.as_ref()), given(self.endpoint.as_ref()));
        let asked = given(own_protocol.as_ref()).or(given(self.protocol.as_ref()));
        let named = own.or(common);
        let protocol = match asked {
            Some("grpc") => Protocol::Grpc,
            Some("http/protobuf") => Protocol::Http,
            Some(other) => {
                let protocol = other.to_owned();
                return Err(Error::Protocol { protocol });
            }
            None => usual_protocol(named),
        };
        let endpoint = named.map_or_else(|| default_endpoint(protocol), |named| self.with_scheme(named));
        let pem = self.pem()?;
        match protocol {
            Protocol::Grpc => Transport::grpc(&endpoint, &pem),
            Protocol::Http => Transport::http(&endpoint, own.is_none().then(|| path(signal)), &pem),
        }
    }

    /// Without a scheme TLS is spoken, unless that is said to be unwanted.
    fn with_scheme(&self, endpoint: &str) -> String {
        if endpoint.contains("://") {
            return endpoint.to_owned();
        }
        let is_insecure = given(self.insecure.as_ref()).is_some_and(|word| word.eq_ignore_ascii_case("true"));
        format!("{}://{endpoint}", if is_insecure { "http" } else { "https" })
    }

    fn pem(&self) -> Result<Pem, Error> {
        let authorities = read("OTEL_EXPORTER_OTLP_CERTIFICATE", self.certificate.as_ref())?;
        let own = read(
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            self.client_certificate.as_ref(),
        )?;
        let key = read("OTEL_EXPORTER_OTLP_CLIENT_KEY", self.client_key.as_ref())?;
        let identity = match (own, key) {
            (Some(own), Some(key)) => Some((own, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(Error::Half),
        };
        Ok(Pem {
            authorities,
            identity,
        })
    }
}

/// Where nobody names a protocol the registered port of OTLP over HTTP does.
fn usual_protocol(endpoint: Option<&str>) -> Protocol {
    let is_http = endpoint.is_some_and(|endpoint| {
        let authority = endpoint.rsplit("://").next().unwrap_or_default();
        let host = authority.split('/').next().unwrap_or_default();
        host.ends_with(&format!(":{HTTP_PORT}"))
    });
    if is_http { Protocol::Http } else { Protocol::Grpc }
}

fn default_endpoint(protocol: Protocol) -> String {
    let port = match protocol {
        Protocol::Grpc => GRPC_PORT,
        Protocol::Http => HTTP_PORT,
    };
    format!("http://127.0.0.1:{port}")
}

/// What stands behind the endpoint of all signals over HTTP.
fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "v1/traces",
        Signal::Logs => "v1/logs",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registered_port_tells_the_transport_where_nobody_names_one() {
        let cases = [
            (None, Protocol::Grpc),
            (Some("http://collector:4317"), Protocol::Grpc),
            (Some("collector:4318"), Protocol::Http),
            (Some("https://collector:4318/otlp"), Protocol::Http),
            (Some("https://collector/a:4318"), Protocol::Grpc),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(usual_protocol(endpoint), expected, "{endpoint:?}");
        }
    }
}
