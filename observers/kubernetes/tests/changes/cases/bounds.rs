//! Autoscalers, quotas, limit ranges, disruption budgets and claims.

use super::{Case, case};

pub(crate) const CASES: &[Case] = &[
    case(
        r#"kubectl patch hpa web -p '{"spec": {"maxReplicas": 5, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}'"#,
        &[
            "HorizontalPodAutoscaler web changed by kubectl-patch\nbounds maxReplicas: 6 -> 5\nbounds metric.Resource.cpu: averageUtilization 80 -> averageUtilization 50\naffects Deployment web",
        ],
    ),
    case(
        r#"kubectl patch hpa web -p '{"spec": {"minReplicas": 4}}' && until test "$(kubectl get deployment web -o jsonpath={.spec.replicas})" = 4; do :; done"#,
        &[
            "Deployment web changed by horizontal-pod-autoscaler for web\nreplicas: 3 -> 4",
            "HorizontalPodAutoscaler web changed by kubectl-patch\nbounds minReplicas: 1 -> 4\naffects Deployment web",
        ],
    ),
    case(
        "kubectl scale deployment/web --replicas=5",
        &["Deployment web changed by kubectl\nreplicas: 4 -> 5"],
    ),
    case(
        "kubectl delete hpa web",
        &[
            "HorizontalPodAutoscaler web deleted by *\nbounds maxReplicas: 5 -> -\nbounds metric.Resource.cpu: averageUtilization 50 -> -\nbounds minReplicas: 4 -> -\nbounds target: Deployment/web -> -\naffects Deployment web",
        ],
    ),
    case(
        r#"kubectl patch resourcequota bounds -p '{"spec": {"hard": {"pods": "1", "limits.cpu": "2", "requests.memory": null}}}'"#,
        &[
            "ResourceQuota bounds changed by kubectl-patch\nbounds limits.cpu: - -> 2\nbounds pods: 50 -> 1\nbounds requests.memory: 4Gi -> -\naffects CronJob report, DaemonSet agent, Deployment api, Deployment web, Job once, StatefulSet db",
        ],
    ),
    case(
        "kubectl delete resourcequota bounds",
        &[
            "ResourceQuota bounds deleted by *\nbounds limits.cpu: 2 -> -\nbounds pods: 1 -> -\naffects CronJob report, DaemonSet agent, Deployment api, Deployment web, Job once, StatefulSet db",
        ],
    ),
    case(
        r#"kubectl patch limitrange bounds --type=json -p '[{"op": "replace", "path": "/spec/limits/0/default/memory", "value": "48Mi"}]'"#,
        &[
            "LimitRange bounds changed by kubectl-patch\nbounds Container.default.memory: 64Mi -> 48Mi\naffects CronJob report, DaemonSet agent, Deployment api, Deployment web, Job once, StatefulSet db",
        ],
    ),
    case(
        r#"kubectl patch pdb web -p '{"spec": {"minAvailable": "100%"}}'"#,
        &[
            "PodDisruptionBudget web changed by kubectl-patch\nbounds minAvailable: 1 -> 100%\naffects Deployment web",
        ],
    ),
    case(
        r#"kubectl patch pdb web -p '{"spec": {"selector": {"matchLabels": {"tier": "back"}}}}'"#,
        &[
            "PodDisruptionBudget web changed by kubectl-patch\nselector tier: front -> back\naffects Deployment web",
        ],
    ),
    case(
        r#"echo '{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {"storageClassName": "manual", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}, "hostPath": {"path": "/tmp"}}}' | kubectl apply -f - && until test "$(kubectl get pvc data -o jsonpath={.status.phase})" = Bound; do :; done"#,
        &[
            "PersistentVolumeClaim data changed by kube-controller-manager\nstorage volume: - -> disk\naffects Deployment api",
        ],
    ),
    case(
        r#"echo '{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "extra"}, "spec": {"storageClassName": "none", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}' | kubectl apply -f -"#,
        &[
            "PersistentVolumeClaim extra created by kubectl-client-side-apply\nstorage accessModes: - -> ReadWriteOnce\nstorage class: - -> none\nstorage size: - -> 1Gi\nstorage volumeMode: - -> Filesystem",
        ],
    ),
    case(
        "kubectl delete pvc data --wait=false",
        &[
            "PersistentVolumeClaim data deleted by *\nstorage accessModes: ReadWriteOnce -> -\nstorage class: manual -> -\nstorage size: 1Gi -> -\nstorage volume: disk -> -\nstorage volumeMode: Filesystem -> -\naffects Deployment api",
        ],
    ),
];
