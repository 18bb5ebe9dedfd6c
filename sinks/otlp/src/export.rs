//! Sends traces and log records to an OTLP endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus_schema::Incident;
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::time::Instant;
use tonic::Code;

use crate::endpoint::{self, Settings, Signal};
use crate::transport::Transport;
use crate::{logs, trace};

/// Answers of a backend by the gRPC status and the HTTP statuses that say them.
struct Answer(Code, &'static [u16]);

/// It will not take this, whenever it is sent.
const REFUSED: Answer = Answer(Code::InvalidArgument, &[400, 413, 422]);
/// It has had too much: in all, or of this.
const EXHAUSTED: Answer = Answer(Code::ResourceExhausted, &[429]);
/// It does not know the signal.
const UNKNOWN: Answer = Answer(Code::Unimplemented, &[404, 405, 501]);

/// A backend that does not know log records is asked again after this long: it may be another one by then.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// Connections to the backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exporter {
    traces: Transport,
    logs: Transport,
    /// When the backend said that it does not know log records.
    unknown_logs: Arc<Mutex<Option<Instant>>>,
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
        self.is_answer(&REFUSED)
    }

    /// Whether the backend has had too much: in all, and then it takes the same later, or of this incident.
    pub fn is_exhausted(&self) -> bool {
        self.is_answer(&EXHAUSTED)
    }

    fn is_answer(&self, answer: &Answer) -> bool {
        match self {
            Self::Export {
                source: OTelSdkError::InternalFailure(why),
                ..
            } => answer.is_in(why),
            Self::Export { .. } | Self::Endpoint(_) | Self::Setup(_) => false,
        }
    }
}

impl Exporter {
    /// An exporter with these settings, and those of the environment that the library reads. Connects when it is first used, and
    /// again when the connection is lost.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let exporter = Self {
            traces: settings.transport(Signal::Traces)?,
            logs: settings.transport(Signal::Logs)?,
            unknown_logs: Arc::default(),
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
        if self.takes_logs() {
            self.export_evidence(incident).await?;
        }
        Ok(())
    }

    async fn export_evidence(&self, incident: &Incident) -> Result<(), Error> {
        let scope = trace::scope();
        for (resource, record) in logs::records(incident) {
            let mut exporter = self.records()?;
            exporter.set_resource(&resource);
            let batch = [(&record, &scope)];
            match exporter.export(LogBatch::new(&batch)).await {
                Ok(()) => {}
                // A backend for traces alone, such as Jaeger: the evidence is in the spans too.
                Err(OTelSdkError::InternalFailure(why)) if UNKNOWN.is_in(&why) => {
                    tracing::info!("the OTLP backend takes no log records: none are sent to it for an hour");
                    *self.unknown_logs() = Some(Instant::now());
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

    fn takes_logs(&self) -> bool {
        self.unknown_logs()
            .is_none_or(|since| since.elapsed() >= ASK_AGAIN)
    }

    fn unknown_logs(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unknown_logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spans(&self) -> Result<SpanExporter, Error> {
        self.traces.spans().map_err(Error::Setup)
    }

    fn records(&self) -> Result<LogExporter, Error> {
        self.logs.records().map_err(Error::Setup)
    }
}

impl Answer {
    /// The exporter gives a status as text only.
    fn is_in(&self, why: &str) -> bool {
        let Self(code, statuses) = self;
        let is_status = |status: &u16| why.ends_with(&format!("status code: {status}"));
        why.contains(&format!("gRPC code: {code:?}")) || statuses.iter().any(is_status)
    }
}
