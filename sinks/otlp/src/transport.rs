//! The way to a backend for one signal, over gRPC or HTTP.

use std::time::Duration;

use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use reqwest::Url;
use reqwest::redirect::Policy;
use tonic::transport::{Channel, Endpoint};

use crate::endpoint::Error;
use crate::tls::Pem;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection, or how to get one. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    /// OTLP/gRPC.
    Grpc(Channel),
    /// OTLP/HTTP with protobuf. It goes through the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name.
    Http {
        /// With its connections.
        client: reqwest::Client,
        /// Whole.
        url: String,
    },
}

impl Transport {
    /// Over gRPC to this URL.
    pub(crate) fn grpc(endpoint: &str, pem: &Pem) -> Result<Self, Error> {
        let parsed =
            Endpoint::from_shared(endpoint.to_owned()).map_err(|source| bad_url(endpoint, source))?;
        let parsed = parsed.connect_timeout(CONNECT_TIMEOUT);
        let secured = match parsed.uri().scheme_str() {
            Some("http") => parsed,
            Some("https") => pem.secure(parsed).map_err(|source| no_tls(endpoint, source))?,
            _ => return Err(bad_scheme(endpoint)),
        };
        Ok(Self::Grpc(secured.connect_lazy()))
    }

    /// Over HTTP to this URL, with a path behind it where it is the one of all signals.
    pub(crate) fn http(endpoint: &str, path: Option<&str>, pem: &Pem) -> Result<Self, Error> {
        let mut url = Url::parse(endpoint).map_err(|source| bad_url(endpoint, source))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(bad_scheme(endpoint));
        }
        if let Some(path) = path {
            url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        }
        // A redirection would take headers, and with them a token, to somebody else.
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none());
        let config = pem.config().map_err(|source| no_tls(endpoint, source))?;
        let client = builder.tls_backend_preconfigured(config).build();
        Ok(Self::Http {
            client: client.map_err(|source| no_tls(endpoint, source.into()))?,
            url: url.into(),
        })
    }

    /// An exporter of spans.
    pub(crate) fn spans(&self) -> Result<SpanExporter, ExporterBuildError> {
        let builder = SpanExporter::builder();
        match self {
            Self::Grpc(channel) => builder.with_tonic().with_channel(channel.clone()).build(),
            Self::Http { client, url } => over_http(builder.with_http(), client, url).build(),
        }
    }

    /// An exporter of log records.
    pub(crate) fn records(&self) -> Result<LogExporter, ExporterBuildError> {
        let builder = LogExporter::builder();
        match self {
            Self::Grpc(channel) => builder.with_tonic().with_channel(channel.clone()).build(),
            Self::Http { client, url } => over_http(builder.with_http(), client, url).build(),
        }
    }
}

fn over_http<B: WithHttpConfig + WithExportConfig>(builder: B, client: &reqwest::Client, url: &str) -> B {
    let builder = builder.with_http_client(client.clone());
    builder.with_endpoint(url).with_protocol(Protocol::HttpBinary)
}

fn bad_url(endpoint: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Url {
        endpoint: endpoint.to_owned(),
        source: source.into(),
    }
}

fn bad_scheme(endpoint: &str) -> Error {
    Error::Scheme {
        endpoint: endpoint.to_owned(),
    }
}

fn no_tls(endpoint: &str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Tls {
        endpoint: endpoint.to_owned(),
        source,
    }
}
