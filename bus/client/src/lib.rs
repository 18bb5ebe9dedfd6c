//! NATS JetStream as the bus: publisher with spool, cursor reader, checkpoints, leases.
