//! Exports each incident revision as one OpenTelemetry trace.
