//! Observers of connections, names, protocol status and link.
