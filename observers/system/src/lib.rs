//! Observers of system health, systemd and OpenTelemetry.
