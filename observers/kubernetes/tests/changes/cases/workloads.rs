//! Deployments, `StatefulSets`, `DaemonSets`, Jobs and `CronJobs`.

use super::{Case, case};

pub(crate) const CASES: &[Case] = &[
    case(
        "kubectl set image deployment/web web=shop/web:2",
        &["Deployment web changed by kubectl-set\nimage web: shop/web:1 -> shop/web:2"],
    ),
    case(
        "kubectl set image deployment/web web=shop/web@sha256:2222222222222222222222222222222222222222222222222222222222222222",
        &[
            "Deployment web changed by kubectl-set\nimage web: shop/web:2 -> shop/web@sha256:2222222222222222222222222222222222222222222222222222222222222222",
        ],
    ),
    case(
        "kubectl rollout undo deployment/web --to-revision=1",
        &[
            "Deployment web changed by kubectl, rollback\nimage web: shop/web@sha256:2222222222222222222222222222222222222222222222222222222222222222 -> shop/web:1",
        ],
    ),
    case(
        "kubectl scale deployment/api --replicas=3",
        &["Deployment api changed by kubectl\nreplicas: 1 -> 3"],
    ),
    case(
        "kubectl scale deployment/web --replicas=3",
        &["Deployment web changed by kubectl\nreplicas: 2 -> 3"],
    ),
    case(
        "kubectl set resources deployment/web --limits=memory=64Mi,cpu=500m",
        &["Deployment web changed by kubectl-set, replaces pods\nresources web limits.memory: 128Mi -> 64Mi"],
    ),
    case(
        "kubectl set env deployment/web MODE=slow NEW=1 OLD-",
        &[
            "Deployment web changed by kubectl-set, replaces pods\nenvironment web MODE: * -> *\nenvironment web NEW: - -> *\nenvironment web OLD: * -> -",
        ],
    ),
    case(
        "kubectl set env deployment/web NEW-",
        &["Deployment web changed by kubectl-set, replaces pods\nenvironment web NEW: * -> -"],
    ),
    case(
        r#"kubectl patch deployment web --type=json -p '[{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["--port=8081"]}]'"#,
        &["Deployment web changed by kubectl-patch, replaces pods\ncommand web args: * -> *"],
    ),
    case(
        r#"kubectl patch deployment web --type=json -p '[{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["/serve"]}]'"#,
        &["Deployment web changed by kubectl-patch, replaces pods\ncommand web command: - -> *"],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"template": {"spec": {"containers": [{"name": "web", "readinessProbe": {"httpGet": {"path": "/healthz"}, "periodSeconds": 2}}]}}}}'"#,
        &[
            "Deployment web changed by kubectl-patch, replaces pods\nprobes web readinessProbe.httpGet.path: /ready -> /healthz\nprobes web readinessProbe.periodSeconds: 5 -> 2",
        ],
    ),
    case(
        r#"kubectl patch deployment web --type=json -p '[{"op": "replace", "path": "/spec/template/spec/containers/0/ports/0/containerPort", "value": 8081}]'"#,
        &["Deployment web changed by kubectl-patch, replaces pods\nports web http: 8080/TCP -> 8081/TCP"],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"template": {"spec": {"volumes": [{"name": "tls", "secret": {"secretName": "pull"}}]}}}}'"#,
        &["Deployment web changed by kubectl-patch, replaces pods\nvolumes tls: secret cert -> secret pull"],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"template": {"spec": {"volumes": [{"name": "tls", "secret": {"secretName": "cert"}}]}}}}'"#,
        &[
            "Deployment web changed by kubectl-patch, replaces pods, rollback\nvolumes tls: secret pull -> secret cert",
        ],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}'"#,
        &["Deployment web changed by kubectl-patch, replaces pods\nscheduling nodeSelector.disk: - -> ssd"],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0}}}}'"#,
        &["Deployment web changed by kubectl-patch\nrollout strategy.rollingUpdate.maxUnavailable: 25% -> 0"],
    ),
    case(
        r#"kubectl patch deployment web -p '{"spec": {"template": {"spec": {"containers": [{"name": "log", "image": "shop/log:1"}]}}}}'"#,
        &[
            "Deployment web changed by kubectl-patch, replaces pods\nother log image: - -> shop/log:1\nother log imagePullPolicy: - -> IfNotPresent\nother log terminationMessagePath: - -> *\nother log terminationMessagePolicy: - -> *",
        ],
    ),
    case(
        r#"kubectl patch deployment api -p '{"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "api", "image": "shop/api:2"}]}}}}'"#,
        &[
            "Deployment api changed by kubectl-patch\nimage api: shop/api:1 -> shop/api:2",
            "Deployment api changed by kubectl-patch, replaces pods\nreplicas: 3 -> 2",
        ],
    ),
    case(
        "kubectl rollout restart deployment/api",
        &["Deployment api changed by kubectl-rollout, replaces pods"],
    ),
    case(
        "kubectl scale statefulset/db --replicas=2 && until kubectl get pvc logs-db-1; do :; done",
        &["StatefulSet db changed by kubectl\nreplicas: 1 -> 2"],
    ),
    case(
        "kubectl label pvc logs-db-1 team=a",
        &["PersistentVolumeClaim logs-db-1 changed by kubectl-label\naffects StatefulSet db"],
    ),
    case(
        "kubectl set image statefulset/db db=shop/db:2",
        &["StatefulSet db changed by kubectl-set\nimage db: shop/db:1 -> shop/db:2"],
    ),
    case(
        "kubectl rollout undo statefulset/db",
        &["StatefulSet db changed by kubectl, rollback\nimage db: shop/db:2 -> shop/db:1"],
    ),
    case(
        "kubectl set env daemonset/agent LEVEL=debug",
        &["DaemonSet agent changed by kubectl-set, replaces pods\nenvironment agent LEVEL: - -> *"],
    ),
    case(
        "kubectl rollout restart daemonset/agent",
        &["DaemonSet agent changed by kubectl-rollout, replaces pods"],
    ),
    case(
        r#"kubectl patch cronjob report -p '{"spec": {"schedule": "0 4 * * *", "suspend": true}}'"#,
        &[
            "CronJob report changed by kubectl-patch\nschedule schedule: 0 3 * * * -> 0 4 * * *\nschedule suspend: false -> true",
        ],
    ),
    case(
        "kubectl set image cronjob/report report=shop/report:2",
        &["CronJob report changed by kubectl-set\nimage report: shop/report:1 -> shop/report:2"],
    ),
    case(
        r#"kubectl patch job once -p '{"spec": {"suspend": false, "parallelism": 2}}'"#,
        &["Job once changed by kubectl-patch\nschedule parallelism: 1 -> 2\nschedule suspend: true -> false"],
    ),
    case(
        "kubectl create job again --image=shop/once:1",
        &["Job again created by kubectl-create"],
    ),
    case("kubectl delete job again", &["Job again deleted by *"]),
    case(
        "kubectl create deployment new --image=shop/new:1",
        &["Deployment new created by kubectl-create"],
    ),
    case(
        "kubectl delete deployment new --cascade=foreground",
        &["Deployment new deleted by *"],
    ),
    case(
        "kubectl label deployment web team=a",
        &["Deployment web changed by kubectl-label"],
    ),
];
