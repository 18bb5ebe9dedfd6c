//! Folds events into episodes and episodes into causal incidents.
