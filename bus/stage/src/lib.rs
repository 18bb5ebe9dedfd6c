//! The skeleton of every Tapio process: configuration, telemetry, health, partitions, drain.
