//! Measures the bus, the pipeline and its steadiness.
