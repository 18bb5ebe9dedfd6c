//! The tapio command: run, demonstrate, look, explain.
