//! Why a volume is not there: of Events about pods and claims.

use bus_schema::event::kubernetes::Reason;

use super::start::referred;
use super::words::quoted;
use crate::lifecycle::facts::Topic;
use crate::lifecycle::finding::Because;

/// Why a volume of a pod cannot be mounted.
pub(in crate::lifecycle) fn not_mounted(message: &str, namespace: &str) -> Because {
    let because = referred(message, namespace).or_else(|| missing_key(message));
    let because = because.unwrap_or_else(|| Because::of(Reason::MountFailed));
    let volume = quoted(message, "for volume ").unwrap_or_default();
    because.saying(message).detail("volume", volume)
}

/// The message names the volume and the key, not the object: the volume is called as in the pod.
fn missing_key(message: &str) -> Option<Because> {
    let parts = ["non-existent config key: ", "non-existent secret key: "];
    let key = parts
        .iter()
        .find_map(|before| super::words::between(message, before, ""))?;
    Some(Because::of(Reason::KeyMissing).detail("key", key.trim()))
}

/// Why a claim has no volume.
pub(in crate::lifecycle) fn no_volume(topic: Topic, message: &str, class: &str) -> Because {
    let because = match topic {
        Topic::NotProvisioned
            if message.contains("storageclass.storage.k8s.io") && message.contains("not found") =>
        {
            Because::of(Reason::StorageClassMissing).object("StorageClass", "", class)
        }
        Topic::NotProvisioned => Because::of(Reason::ProvisioningFailed),
        Topic::NotBound => Because::of(Reason::NoMatchingVolume),
        Topic::Mount
        | Topic::Sandbox
        | Topic::Readiness
        | Topic::Liveness
        | Topic::Startup
        | Topic::Killed
        | Topic::NotCreated
        | Topic::AwaitsPod => Because::of(Reason::Unknown),
    };
    because.saying(message).detail("storage_class", class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_cannot_be_mounted_names_what_it_lacks() {
        let because = not_mounted(
            "MountVolume.SetUp failed for volume \"conf\" : configmap \"settings\" not found",
            "shop",
        );
        assert_eq!(because.reason, Reason::ConfigMapMissing);
        assert_eq!(because.details["volume"], "conf");
        assert_eq!(because.object.unwrap().key(), "ConfigMap/shop/settings");
        let because = not_mounted(
            "MountVolume.SetUp failed for volume \"conf\" : references non-existent secret key: pass",
            "shop",
        );
        assert_eq!(
            (because.reason, because.details["key"].as_str()),
            (Reason::KeyMissing, "pass")
        );
        let because = not_mounted(
            "MountVolume.SetUp failed for volume \"disk\" : hostPath type check failed: /nowhere is not a directory",
            "shop",
        );
        assert_eq!(because.reason, Reason::MountFailed);
    }

    #[test]
    fn a_claim_without_volume_has_its_reason() {
        let because = no_volume(
            Topic::NotProvisioned,
            "storageclass.storage.k8s.io \"fast\" not found",
            "fast",
        );
        assert_eq!(because.reason, Reason::StorageClassMissing);
        assert_eq!(because.object.unwrap().key(), "StorageClass//fast");
        let because = no_volume(
            Topic::NotBound,
            "no persistent volumes available for this claim and no storage class is set",
            "",
        );
        assert_eq!(because.reason, Reason::NoMatchingVolume);
    }
}
