//! The wire: events, batches, episodes, incidents, and every name and limit of the bus.
