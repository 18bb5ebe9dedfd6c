//! Why an image is not there: what the kubelet and its runtime say.

use bus_schema::event::kubernetes::Reason;

use super::words::has_any;
use crate::lifecycle::finding::Because;

/// `None` when the container waits for something else.
pub(in crate::lifecycle) fn not_pulled(reason: &str, message: &str, image: &str) -> Option<Because> {
    let reason = match reason {
        "InvalidImageName" => Reason::ImageNameInvalid,
        "ErrImageNeverPull" => Reason::ImageNeverPulled,
        "RegistryUnavailable" => Reason::RegistryUnreachable,
        "ErrImagePull" | "ImagePullBackOff" | "ImageInspectError" | "SignatureValidationFailed" => {
            failure(message)
        }
        _ => return None,
    };
    Some(Because::of(reason).saying(message).detail("image", image))
}

fn failure(message: &str) -> Reason {
    const UNAUTHORIZED: &[&str] = &[
        "pull access denied",
        "insufficient_scope",
        "authorization failed",
        "authentication required",
        "no basic auth credentials",
        "401 Unauthorized",
        "403 Forbidden",
        "unauthorized",
    ];
    const UNREACHABLE: &[&str] = &[
        "no such host",
        "connection refused",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "connection reset",
        "TLS handshake timeout",
        "Temporary failure in name resolution",
        "server misbehaving",
        "context deadline exceeded",
        "registry is unavailable",
        "503 Service Unavailable",
        "502 Bad Gateway",
        "server gave HTTP response to HTTPS client",
        "x509:",
        "EOF",
    ];
    // A registry that does not answer is not found by its name: what it says comes after that.
    if has_any(message, UNAUTHORIZED) {
        Reason::ImageUnauthorized
    } else if has_any(message, UNREACHABLE) {
        Reason::RegistryUnreachable
    } else if has_any(
        message,
        &["not found", "NotFound", "manifest unknown", "does not exist"],
    ) {
        Reason::ImageNotFound
    } else if has_any(message, &["invalid reference format", "couldn't parse image"]) {
        Reason::ImageNameInvalid
    } else {
        Reason::ImagePullFailed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(reason: &str, message: &str) -> Option<Reason> {
        not_pulled(reason, message, "shop/web:9").map(|because| because.reason)
    }

    #[test]
    fn each_failure_of_a_registry_has_its_reason() {
        let missing = "Back-off pulling image \"docker.io/library/web:9\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/web:9\": failed to resolve reference \"docker.io/library/web:9\": docker.io/library/web:9: not found";
        assert_eq!(reason("ImagePullBackOff", missing), Some(Reason::ImageNotFound));
        let denied = "failed to pull and unpack image \"docker.io/shop/web:9\": failed to resolve reference \"docker.io/shop/web:9\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed";
        assert_eq!(reason("ErrImagePull", denied), Some(Reason::ImageUnauthorized));
        let silent = "failed to pull and unpack image \"registry.invalid/web:9\": failed to resolve reference \"registry.invalid/web:9\": failed to do request: Head \"https://registry.invalid/v2/web/manifests/9\": dial tcp: lookup registry.invalid: no such host";
        assert_eq!(reason("ErrImagePull", silent), Some(Reason::RegistryUnreachable));
        let refused = "failed to pull and unpack image \"127.0.0.1:1/web:9\": failed to resolve reference \"127.0.0.1:1/web:9\": failed to do request: Head \"http://127.0.0.1:1/v2/web/manifests/9\": dial tcp 127.0.0.1:1: connect: connection refused";
        assert_eq!(reason("ErrImagePull", refused), Some(Reason::RegistryUnreachable));
        let never = "Container image \"web:9\" is not present with pull policy of Never";
        assert_eq!(reason("ErrImageNeverPull", never), Some(Reason::ImageNeverPulled));
        let invalid = "Failed to apply default image tag \"WEB:9\": couldn't parse image name \"WEB:9\": invalid reference format: repository name (library/WEB) must be lowercase";
        assert_eq!(
            reason("InvalidImageName", invalid),
            Some(Reason::ImageNameInvalid)
        );
        assert_eq!(
            reason("ImagePullBackOff", "Back-off pulling image \"web:9\""),
            Some(Reason::ImagePullFailed)
        );
        assert_eq!(reason("ContainerCreating", ""), None);
    }
}
