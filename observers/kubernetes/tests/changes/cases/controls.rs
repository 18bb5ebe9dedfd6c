//! What is no change, though something is written.

use super::{Case, case};

pub(crate) const CASES: &[Case] = &[
    case(
        r#"kubectl patch deployment web --subresource=status -p '{"status": {"observedGeneration": 1}}'"#,
        &[],
    ),
    case(
        r#"kubectl patch resourcequota -n fence fence --subresource=status --type=merge -p '{"status": {"used": {"pods": "1"}}}'"#,
        &[],
    ),
    case(
        "kubectl annotate deployment web deployment.kubernetes.io/revision=77 --overwrite",
        &[],
    ),
    case(
        "kubectl label configmap settings seen=yes --field-manager=kube-controller-manager",
        &[],
    ),
    case(
        "kubectl annotate configmap settings control-plane.alpha.kubernetes.io/leader=me",
        &[],
    ),
    case(
        "kubectl apply view-last-applied configmap settings > /dev/null && kubectl get configmap settings -o yaml | kubectl apply -f - ",
        &[],
    ),
    case("kubectl set image deployment/web web=shop/web:1", &[]),
    case(
        "kubectl create job by-hand --image=shop/once:1 --dry-run=server",
        &[],
    ),
    case(
        "kubectl create secret generic sh.helm.release.v1.shop.v1 --type=helm.sh/release.v1 --from-literal=release=x",
        &[],
    ),
    case(
        r#"echo '{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": "default"}}}' | kubectl apply -f -"#,
        &[],
    ),
    case("kubectl create job of-cron --from=cronjob/report", &[]),
    case("kubectl delete job of-cron", &[]),
    case(
        "kubectl create namespace fresh && until kubectl -n fresh get configmap kube-root-ca.crt 2> /dev/null; do :; done",
        &[],
    ),
    case(
        "kubectl create configmap web-lock --from-literal=a=1 --dry-run=client -o yaml | kubectl create -f - > /dev/null; kubectl delete configmap web-lock",
        &[
            "ConfigMap web-lock created by kubectl-create\ndata a: - -> *",
            "ConfigMap web-lock deleted by *\ndata a: * -> -",
        ],
    ),
];
