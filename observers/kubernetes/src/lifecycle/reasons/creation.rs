//! Why a controller cannot create a pod: what the API server answered it.

use bus_schema::event::kubernetes::Reason;

use super::words::{between, has_any, quoted};
use crate::lifecycle::finding::Because;

pub(in crate::lifecycle) fn not_created(message: &str, namespace: &str) -> Because {
    let because = |reason| Because::of(reason).saying(message);
    if let Some(quota) = between(message, "exceeded quota: ", ",") {
        return because(Reason::QuotaExceeded)
            .object("ResourceQuota", namespace, quota)
            .detail("resource", requested(message));
    }
    if let Some(quota) = between(message, "failed quota: ", ":") {
        let missing = between(message, "must specify ", "").unwrap_or_default();
        let names: Vec<_> = missing
            .split(';')
            .filter_map(|part| part.split_whitespace().next())
            .collect();
        return because(Reason::QuotaExceeded)
            .object("ResourceQuota", namespace, quota)
            .detail("resource", names.join(","));
    }
    if let Some(limit) = limit_range(message) {
        return because(Reason::LimitRange).detail("resource", limit);
    }
    if message.contains("error looking up service account") {
        let name = quoted(message, "serviceaccount ").unwrap_or_default();
        return because(Reason::ServiceAccountMissing).object("ServiceAccount", namespace, name);
    }
    if message.contains("violates PodSecurity") {
        return because(Reason::AdmissionDenied).detail(
            "policy",
            quoted(message, "violates PodSecurity").unwrap_or_default(),
        );
    }
    if let Some(webhook) =
        quoted(message, "admission webhook ").or_else(|| quoted(message, "failed calling webhook "))
    {
        return because(Reason::AdmissionDenied).detail("policy", webhook);
    }
    if let Some(policy) = between(message, "ValidatingAdmissionPolicy '", "'") {
        return because(Reason::AdmissionDenied).object("ValidatingAdmissionPolicy", "", policy);
    }
    if has_any(message, &["is forbidden", "denied the request"]) {
        return because(Reason::AdmissionDenied);
    }
    because(Reason::Unknown)
}

/// What is requested and would not fit: `requested: limits.memory=1Gi,pods=1, used: …`.
fn requested(message: &str) -> String {
    let list = between(message, "requested: ", ", used:").unwrap_or_default();
    let names = list.split(',').filter_map(|part| part.split('=').next());
    names.collect::<Vec<_>>().join(",")
}

/// `maximum memory usage per Container is 64Mi, but limit is 128Mi`: the resource.
fn limit_range(message: &str) -> Option<&str> {
    for bound in ["maximum ", "minimum "] {
        let named = between(message, bound, " usage per ");
        if named.is_some_and(|name| !name.contains(' ')) {
            return named;
        }
    }
    let (before, _) = message.split_once(" max limit to request ratio per ")?;
    before.rsplit([' ', '[']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(message: &str) -> (Reason, Option<String>, String) {
        let because = not_created(message, "shop");
        (
            because.reason,
            because.object.map(|object| object.key()),
            because.details.get("resource").cloned().unwrap_or_default(),
        )
    }

    #[test]
    fn a_quota_is_named_with_what_it_lacks() {
        let quota = Some("ResourceQuota/shop/compute".to_owned());
        assert_eq!(
            reason(
                "pods \"web-5d8c-x\" is forbidden: exceeded quota: compute, requested: limits.memory=1Gi,pods=1, used: limits.memory=0,pods=0, limited: limits.memory=512Mi,pods=0"
            ),
            (Reason::QuotaExceeded, quota.clone(), "limits.memory,pods".into())
        );
        assert_eq!(
            reason(
                "Error creating: pods \"web-x\" is forbidden: failed quota: compute: must specify limits.cpu for: web; limits.memory for: web"
            ),
            (Reason::QuotaExceeded, quota, "limits.cpu,limits.memory".into())
        );
    }

    #[test]
    fn a_limit_range_is_told_from_other_refusals() {
        assert_eq!(
            reason("pods \"a\" is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi"),
            (Reason::LimitRange, None, "memory".into())
        );
        assert_eq!(
            reason(
                "pods \"a\" is forbidden: [minimum cpu usage per Container is 100m, but request is 10m, x]"
            ),
            (Reason::LimitRange, None, "cpu".into())
        );
        assert_eq!(
            reason(
                "pods \"a\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000"
            ),
            (Reason::LimitRange, None, "cpu".into())
        );
    }

    #[test]
    fn admission_and_accounts_are_told() {
        let account = "pods \"a-\" is forbidden: error looking up service account shop/robot: serviceaccount \"robot\" not found";
        assert_eq!(
            reason(account),
            (
                Reason::ServiceAccountMissing,
                Some("ServiceAccount/shop/robot".into()),
                String::new()
            )
        );
        let security = not_created(
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
            "shop",
        );
        assert_eq!(security.reason, Reason::AdmissionDenied);
        assert_eq!(security.details["policy"], "restricted:latest");
        let webhook = not_created(
            "admission webhook \"v.example.com\" denied the request: no",
            "shop",
        );
        assert_eq!(webhook.details["policy"], "v.example.com");
        let policy = not_created(
            "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'no-latest' with binding 'b' denied request: no",
            "shop",
        );
        assert_eq!(
            policy.object.unwrap().key(),
            "ValidatingAdmissionPolicy//no-latest"
        );
        assert_eq!(
            not_created("etcdserver: request timed out", "shop").reason,
            Reason::Unknown
        );
    }
}
