//! Says who is who: containers, pods, workloads, services and both ends of a connection.
