//! The evidence of an incident as log records, each tied to the span of its step.

use bus_schema::{Incident, Severity};
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity as LogSeverity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLoggerProvider};

use crate::ids::{span_id, trace_id};
use crate::resource;
use crate::trace::system_time;

/// One record per step, with the entity it speaks of.
pub fn records(incident: &Incident) -> Vec<(Resource, SdkLogRecord)> {
    // The only public way to an empty record.
    let logger = SdkLoggerProvider::builder().build().logger("tapio");
    let record = |step: &bus_schema::incident::Step| {
        let mut record = logger.create_log_record();
        record.set_timestamp(system_time(step.start));
        record.set_observed_timestamp(system_time(incident.updated_at));
        record.set_severity_number(severity(step.severity));
        record.set_severity_text(step.severity.as_str());
        record.set_body(AnyValue::from(step.text.clone()));
        record.add_attribute("tapio.incident.id", incident.id.to_string());
        record.add_attribute("tapio.incident.condition", step.condition.clone());
        let evidence = step.evidence.iter().map(|id| AnyValue::from(id.to_string()));
        record.add_attribute(
            "tapio.evidence_ids",
            AnyValue::ListAny(Box::new(evidence.collect())),
        );
        record.set_trace_context(
            trace_id(incident, incident.revision),
            span_id(step.id, incident.revision),
            None,
        );
        (resource::of_entity(&step.entity, &incident.cluster), record)
    };
    incident.steps.iter().map(record).collect()
}

fn severity(severity: Severity) -> LogSeverity {
    match severity {
        Severity::Info => LogSeverity::Info,
        Severity::Notice => LogSeverity::Info2,
        Severity::Warning => LogSeverity::Warn,
        Severity::Error => LogSeverity::Error,
        Severity::Critical => LogSeverity::Fatal,
    }
}
