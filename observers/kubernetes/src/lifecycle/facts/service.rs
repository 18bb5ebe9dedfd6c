//! What is kept of Services and of the endpoints behind them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service as Object;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Meta;
use crate::lifecycle::key::Kind;

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Service {
    pub(in crate::lifecycle) meta: Meta,
    /// Labels of its pods; none when somebody else names its endpoints.
    pub(in crate::lifecycle) selector: BTreeMap<String, String>,
    pub(in crate::lifecycle) ports: Vec<Port>,
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Port {
    /// Empty where it is the only one.
    pub(in crate::lifecycle) name: String,
    /// Name of the port of the pods, where it is a name.
    pub(in crate::lifecycle) target: Option<String>,
}

impl Service {
    pub(in crate::lifecycle) fn of(service: &Object) -> Self {
        let spec = service.spec.as_ref();
        let is_alias = spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
        let selector = spec.filter(|_| !is_alias).and_then(|spec| spec.selector.clone());
        let ports = spec.into_iter().flat_map(|spec| spec.ports.iter().flatten());
        Self {
            meta: Meta::of(Kind::Service, &service.metadata),
            selector: selector.unwrap_or_default(),
            ports: ports
                .map(|port| Port {
                    name: port.name.clone().unwrap_or_default(),
                    target: match &port.target_port {
                        Some(IntOrString::String(name)) => Some(name.clone()),
                        Some(IntOrString::Int(_)) | None => None,
                    },
                })
                .collect(),
        }
    }
}

/// Some endpoints of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Slice {
    pub(in crate::lifecycle) meta: Meta,
    /// Name of the Service.
    pub(in crate::lifecycle) service: String,
    /// How many take requests.
    pub(in crate::lifecycle) ready: usize,
    /// Ports on which they do.
    pub(in crate::lifecycle) ports: Vec<String>,
}

impl Slice {
    pub(in crate::lifecycle) fn of(slice: &EndpointSlice) -> Self {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
        let ready = slice.endpoints.iter().filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) != Some(false)
        });
        let ports = slice.ports.iter().flatten();
        Self {
            meta: Meta::of(Kind::Slice, &slice.metadata),
            service: service.cloned().unwrap_or_default(),
            ready: ready.count(),
            ports: ports.map(|port| port.name.clone().unwrap_or_default()).collect(),
        }
    }
}
