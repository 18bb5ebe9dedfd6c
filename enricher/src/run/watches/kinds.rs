//! What each kind of object tells: who is who, and what is related to what.

use bus_schema::entity::{Identity, Workload};
use bus_schema::topology::{ROUTES_TO, SCALES};
use k8s_openapi::Resource;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;

use super::To;
use crate::run::records::{self, created_ns};
use crate::run::references::{self, identity};

pub(super) fn see_pod(to: &To, pod: &Pod, now_ns: u64) {
    let Some(record) = records::pod(pod) else { return };
    let related = references::pod(pod, &record, records::has_ended(pod));
    to.write().see_pod(record, now_ns);
    to.related.change(|store| store.see_pod(related, now_ns));
}

pub(super) fn lose_pod(to: &To, pod: &ObjectMeta, now_ns: u64) {
    if let Some(uid) = &pod.uid {
        to.write().lose_pod(uid, now_ns);
        to.related.change(|store| store.lose_pod(uid));
    }
}

pub(super) fn see_node(to: &To, node: &Node, now_ns: u64) {
    if let Some(record) = records::node(node) {
        to.write().see_node(&record, now_ns);
    }
}

pub(super) fn lose_node(to: &To, node: &ObjectMeta, now_ns: u64) {
    if let Some(name) = &node.name {
        to.write().lose_node(name, now_ns);
    }
}

pub(super) fn see_service(to: &To, service: &Service, now_ns: u64) {
    let Some(record) = records::service(service) else {
        return;
    };
    to.write().see_service(&record, now_ns);
    let (from, selector) = (
        identity::<Service>(&service.metadata),
        references::service(service),
    );
    to.related
        .change(|store| store.see_selector(from, selector, record.created_ns, now_ns));
}

pub(super) fn lose_service(to: &To, service: &ObjectMeta, now_ns: u64) {
    if let Some(name) = records::service_name(service) {
        to.write().lose_service(&name, now_ns);
    }
    let from = identity::<Service>(service);
    to.related.change(|store| store.lose_selector(&from, now_ns));
}

pub(super) fn see_endpoints(to: &To, slice: &EndpointSlice, now_ns: u64) {
    if let Some((service, slice, pods)) = records::endpoints(slice) {
        to.write().see_endpoints(&service, &slice, &pods, now_ns);
    }
}

pub(super) fn lose_endpoints(to: &To, slice: &ObjectMeta, now_ns: u64) {
    if let (Some(namespace), Some(name)) = (&slice.namespace, &slice.name) {
        to.write().lose_endpoints(namespace, name, now_ns);
    }
}

pub(super) fn see_owner<K: Resource>(to: &To, object: &PartialObjectMeta<K>, _: u64) {
    if let Some(parent) = records::controller(&object.metadata) {
        let child = child::<K>(&object.metadata);
        to.write().see_owner(child.clone(), parent);
        to.related.change(|store| store.see_owner(&child));
    }
}

/// Whoever its pods belonged to, they still do while they are there.
pub(super) fn lose_owner<K: Resource>(to: &To, meta: &ObjectMeta, _: u64) {
    to.write().lose_owner(&child::<K>(meta));
}

pub(super) fn see_policy(to: &To, policy: &NetworkPolicy, now_ns: u64) {
    let from = identity::<NetworkPolicy>(&policy.metadata);
    let (selector, created_ns) = (references::network_policy(policy), created_ns(&policy.metadata));
    to.related
        .change(|store| store.see_selector(from, Some(selector), created_ns, now_ns));
}

pub(super) fn lose_policy(to: &To, policy: &ObjectMeta, now_ns: u64) {
    let from = identity::<NetworkPolicy>(policy);
    to.related.change(|store| store.lose_selector(&from, now_ns));
}

pub(super) fn see_ingress(to: &To, ingress: &Ingress, now_ns: u64) {
    let (from, targets) = (
        identity::<Ingress>(&ingress.metadata),
        references::ingress(ingress),
    );
    let created_ns = created_ns(&ingress.metadata);
    to.related
        .change(|store| store.see_targets(ROUTES_TO, &from, &targets, created_ns, now_ns));
}

pub(super) fn lose_ingress(to: &To, ingress: &ObjectMeta, now_ns: u64) {
    let from = identity::<Ingress>(ingress);
    to.related
        .change(|store| store.lose_targets(ROUTES_TO, &from, now_ns));
}

pub(super) fn see_autoscaler(to: &To, autoscaler: &HorizontalPodAutoscaler, now_ns: u64) {
    let from = identity::<HorizontalPodAutoscaler>(&autoscaler.metadata);
    let (targets, created_ns) = (
        references::autoscaler(autoscaler),
        created_ns(&autoscaler.metadata),
    );
    to.related
        .change(|store| store.see_targets(SCALES, &from, &targets, created_ns, now_ns));
}

pub(super) fn lose_autoscaler(to: &To, autoscaler: &ObjectMeta, now_ns: u64) {
    let from = identity::<HorizontalPodAutoscaler>(autoscaler);
    to.related
        .change(|store| store.lose_targets(SCALES, &from, now_ns));
}

pub(super) fn see_limit<K: Resource>(to: &To, limit: &PartialObjectMeta<K>, now_ns: u64) {
    let (from, created_ns): (Identity, _) = (identity::<K>(&limit.metadata), created_ns(&limit.metadata));
    to.related
        .change(|store| store.see_limit(from, created_ns, now_ns));
}

pub(super) fn lose_limit<K: Resource>(to: &To, limit: &ObjectMeta, now_ns: u64) {
    let limit = identity::<K>(limit);
    to.related.change(|store| store.lose_limit(&limit, now_ns));
}

fn child<K: Resource>(meta: &ObjectMeta) -> Workload {
    let Identity {
        kind,
        namespace,
        name,
        ..
    } = identity::<K>(meta);
    Workload {
        kind,
        namespace,
        name,
    }
}
