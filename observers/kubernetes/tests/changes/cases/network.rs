//! Services, Ingresses and `NetworkPolicies`.

use super::{Case, case};

pub(crate) const CASES: &[Case] = &[
    case(
        r#"kubectl patch service web -p '{"spec": {"selector": {"app": "wbe"}}}'"#,
        &["Service web changed by kubectl-patch\nselector app: web -> wbe\naffects Deployment web"],
    ),
    case(
        "kubectl set selector service web app=web",
        &["Service web changed by kubectl-set\nselector app: wbe -> web\naffects Deployment web"],
    ),
    case(
        r#"kubectl patch service api --type=json -p '[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9091}]'"#,
        &[
            "Service api changed by kubectl-patch\nserviceports 80: 80/TCP -> 9090 -> 80/TCP -> 9091\naffects Deployment api",
        ],
    ),
    case(
        r#"kubectl patch service api -p '{"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}}'"#,
        &[
            "Service api changed by kubectl-patch\nserviceports 80: 80/TCP -> 9091 -> 80/TCP -> 9091, node 30080\nother externalTrafficPolicy: - -> Cluster\nother type: ClusterIP -> NodePort\naffects Deployment api",
        ],
    ),
    case(
        r#"kubectl patch ingress shop --type=json -p '[{"op": "replace", "path": "/spec/rules/0/http/paths/0/backend/service", "value": {"name": "api", "port": {"number": 80}}}]'"#,
        &[
            "Ingress shop changed by kubectl-patch\nroutes shop.example/: web:http -> api:80\naffects Deployment api, Deployment web",
        ],
    ),
    case(
        "kubectl delete ingress shop",
        &["Ingress shop deleted by *\nroutes shop.example/: api:80 -> -\naffects Deployment api"],
    ),
    case(
        r#"kubectl patch networkpolicy db --type=json -p '[{"op": "replace", "path": "/spec/ingress", "value": []}]'"#,
        &[
            "NetworkPolicy db changed by *\ntraffic ingress: from pods app=api, port 5432/TCP -> nothing\naffects StatefulSet db",
        ],
    ),
    case(
        r#"kubectl patch networkpolicy db -p '{"spec": {"podSelector": {"matchLabels": {"app": "api"}}}}'"#,
        &[
            "NetworkPolicy db changed by kubectl-patch\nselector app: db -> api\naffects Deployment api, StatefulSet db",
        ],
    ),
    case(
        "kubectl delete networkpolicy db",
        &[
            "NetworkPolicy db deleted by *\nselector app: api -> -\ntraffic ingress: nothing -> -\naffects Deployment api",
        ],
    ),
    case(
        r#"echo '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "none"}, "spec": {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "db"]}]}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}' | kubectl apply -f -"#,
        &[
            "NetworkPolicy none created by kubectl-client-side-apply\nselector app (expression): - -> In (api, db)\ntraffic egress: - -> to 10.0.0.0/8\naffects Deployment api, StatefulSet db",
        ],
    ),
];
