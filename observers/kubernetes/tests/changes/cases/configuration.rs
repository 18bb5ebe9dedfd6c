//! `ConfigMaps` and Secrets: by key, and who reads them.

use super::{Case, case};

pub(crate) const CASES: &[Case] = &[
    case(
        r#"kubectl patch configmap settings -p '{"data": {"port": "8081", "retries": "3", "upstream": null}}'"#,
        &[
            "ConfigMap settings changed by kubectl-patch\ndata port: * -> *\ndata retries: - -> *\ndata upstream: * -> -\naffects Deployment api, Deployment web",
        ],
    ),
    case(
        r#"kubectl patch configmap settings -p '{"binaryData": {"blob": "AAED"}}'"#,
        &[
            "ConfigMap settings changed by kubectl-patch\ndata blob: * -> *\naffects Deployment api, Deployment web",
        ],
    ),
    case(
        r#"kubectl patch configmap report -p '{"data": {"to": "some"}}'"#,
        &["ConfigMap report changed by kubectl-patch\ndata to: * -> *\naffects CronJob report"],
    ),
    case(
        r#"kubectl patch configmap unread -p '{"data": {"a": "2"}}'"#,
        &["ConfigMap unread changed by kubectl-patch\ndata a: * -> *"],
    ),
    case(
        "kubectl create configmap more --from-literal=a=1 --from-literal=b=2",
        &["ConfigMap more created by kubectl-create\ndata a: - -> *\ndata b: - -> *"],
    ),
    case(
        "kubectl annotate configmap more note=x",
        &["ConfigMap more changed by kubectl-annotate"],
    ),
    case(
        r#"kubectl patch configmap more -p '{"immutable": true}'"#,
        &["ConfigMap more changed by kubectl-patch\nother immutable: - -> true"],
    ),
    case(
        "kubectl delete configmap more",
        &["ConfigMap more deleted by *\ndata a: * -> -\ndata b: * -> -\nother immutable: true -> -"],
    ),
    case(
        r#"kubectl patch secret cert -p '{"stringData": {"tls.key": "two"}}'"#,
        &[
            "Secret cert changed by kubectl-patch\ndata tls.key: * -> *\naffects Deployment api, Deployment web",
        ],
    ),
    case(
        r#"kubectl patch secret pull -p '{"stringData": {".dockerconfigjson": "{\"auths\":{\"a\":{}}}"}}'"#,
        &["Secret pull changed by kubectl-patch\ndata .dockerconfigjson: * -> *\naffects Deployment api"],
    ),
    case(
        "kubectl create secret generic other --from-literal=a=1",
        &["Secret other created by kubectl-create\ndata a: - -> *\nother type: - -> Opaque"],
    ),
    case(
        "kubectl delete secret other",
        &["Secret other deleted by *\ndata a: * -> -\nother type: Opaque -> -"],
    ),
];
