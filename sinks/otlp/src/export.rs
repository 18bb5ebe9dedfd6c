//! Sends traces and log records to an OTLP endpoint.

use bus_schema::Incident;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithTonicConfig};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::endpoint::{self, Settings};
use crate::{logs, trace};

/// Connections to the backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exporter {
    traces: Channel,
    logs: Channel,
}

/// Why an incident was not exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    /// The exporter could not be set up.
    #[error("OTLP exporter could not be set up")]
    Setup(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The backend refused or could not be reached.
    #[error("OTLP backend did not take the {signal}")]
    Export {
        /// `trace` or `log records`.
        signal: &'static str,
        /// Why.
        #[source]
        source: OTelSdkError,
    },
}

impl Error {
    /// Whether the backend would refuse the same incident for ever.
    pub fn is_final(&self) -> bool {
        self.is_answer(Code::InvalidArgument)
    }

    /// Whether the backend has had too much: in all, and then it takes the same later, or of this incident.
    pub fn is_exhausted(&self) -> bool {
        self.is_answer(Code::ResourceExhausted)
    }

    fn is_answer(&self, code: Code) -> bool {
        match self {
            Self::Export {
                source: OTelSdkError::InternalFailure(why),
                ..
            } => is_status(why, code),
            Self::Export { .. } | Self::Endpoint(_) | Self::Setup(_) => false,
        }
    }
}

impl Exporter {
    /// An exporter with these settings, and those of the environment that the library reads. Connects when it is first used, and
    /// again when the connection is lost.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let exporter = Self {
            traces: settings.traces()?,
            logs: settings.logs()?,
        };
        // What the library finds wrong is wrong from the start.
        exporter.spans()?;
        exporter.records()?;
        Ok(exporter)
    }

    /// Sends one revision: its spans, resource by resource, and its evidence.
    pub async fn export(&self, incident: &Incident) -> Result<(), Error> {
        for group in trace::trace(incident) {
            let mut exporter = self.spans()?;
            exporter.set_resource(&group.resource);
            exporter
                .export(group.spans)
                .await
                .map_err(|source| Error::Export {
                    signal: "trace",
                    source,
                })?;
        }
        let scope = trace::scope();
        for (resource, record) in logs::records(incident) {
            let mut exporter = self.records()?;
            exporter.set_resource(&resource);
            let batch = [(&record, &scope)];
            match exporter.export(LogBatch::new(&batch)).await {
                Ok(()) => {}
                // A backend for traces alone, such as Jaeger: the evidence is in the spans too.
                Err(OTelSdkError::InternalFailure(why)) if is_status(&why, Code::Unimplemented) => {
                    tracing::debug!("the OTLP backend takes no log records");
                    return Ok(());
                }
                Err(source) => {
                    return Err(Error::Export {
                        signal: "log records",
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    fn spans(&self) -> Result<SpanExporter, Error> {
        let builder = SpanExporter::builder().with_tonic();
        builder
            .with_channel(self.traces.clone())
            .build()
            .map_err(Error::Setup)
    }

    fn records(&self) -> Result<LogExporter, Error> {
        let builder = LogExporter::builder().with_tonic();
        builder
            .with_channel(self.logs.clone())
            .build()
            .map_err(Error::Setup)
    }
}

/// The exporter gives gRPC's status as text only.
fn is_status(why: &str, code: Code) -> bool {
    why.contains(&format!("gRPC code: {code:?}"))
}
