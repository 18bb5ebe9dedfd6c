//! Observers of memory growth and storage.
