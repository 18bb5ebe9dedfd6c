//! Observers of the Kubernetes API server and the node's kubelet.
