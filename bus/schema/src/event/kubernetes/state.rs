//! States in which an object of the API does not do what it is there for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The subject entered or left a state. Told at each change, and never again while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectState {
    /// Which state.
    pub state: State,
    /// Whether it holds; `false` tells that it has ended.
    pub holds: bool,
    /// Why, as far as Kubernetes says.
    pub reason: Reason,
    /// What Kubernetes says, cut to a few hundred characters.
    pub message: String,
    /// When it began, UNIX ns.
    pub since_ns: u64,
    /// What the reason is about, by name: `resource`, `taint`, `image`, `key`, `container`, `exit_code`, `probe`, `port`.
    pub details: BTreeMap<String, String>,
    /// Whether it began while nobody watched, and is told later.
    #[serde(skip_serializing_if = "super::is_false")]
    pub late: bool,
}

/// What does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No node takes the pod.
    Unschedulable,
    /// The workload's controller cannot create its pods.
    NotCreated,
    /// A container of the pod cannot be started.
    NotStarted,
    /// A container of the pod ends again and again.
    CrashLooping,
    /// The pod runs and is not ready.
    NotReady,
    /// The pod was ended for the sake of the node or of another pod.
    Evicted,
    /// Nothing is behind the Service.
    WithoutEndpoints,
    /// The node is not ready.
    NodeNotReady,
    /// The node runs out of something.
    NodePressure,
    /// The node takes no new pods.
    NodeCordoned,
    /// The rollout of the workload makes no progress.
    RolloutStuck,
    /// The job has failed for good.
    JobFailed,
    /// The claim has no volume.
    VolumePending,
    /// One of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Why an object is in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Unschedulable: no node has enough of `resource`.
    InsufficientResource,
    /// Unschedulable: nodes have a `taint` that the pod does not tolerate.
    UntoleratedTaint,
    /// Unschedulable: no node has the labels that selector or affinity ask for.
    NodeSelector,
    /// Unschedulable: other pods are too near or too far, by affinity or spread.
    PodAffinity,
    /// Unschedulable: a claim (the object) has no volume, or one elsewhere.
    VolumeUnbound,
    /// Unschedulable: the nodes have as many pods as they take.
    TooManyPods,
    /// Unschedulable: the `port` of every node is taken.
    HostPortTaken,
    /// Not created: it would exceed a quota (the object) of `resource`.
    QuotaExceeded,
    /// Not created: it breaks a limit range.
    LimitRange,
    /// Not created: an admission policy refuses it.
    AdmissionDenied,
    /// Not created: its service account does not exist.
    ServiceAccountMissing,
    /// Not started: the registry does not have the `image`.
    ImageNotFound,
    /// Not started: the registry asks for other credentials.
    ImageUnauthorized,
    /// Not started: the registry of the `image` does not answer.
    RegistryUnreachable,
    /// Not started: the `image` is no image reference.
    ImageNameInvalid,
    /// Not started: the `image` is not on the node and may not be pulled.
    ImageNeverPulled,
    /// Not started: the `image` cannot be pulled for another reason.
    ImagePullFailed,
    /// Not started: a `ConfigMap` (the object) does not exist.
    ConfigMapMissing,
    /// Not started: a Secret (the object) does not exist.
    SecretMissing,
    /// Not started: a `ConfigMap` or Secret (the object) has no such `key`.
    KeyMissing,
    /// Not started: its `command` does not exist in the image or is not executable.
    BadCommand,
    /// Not started: a container before it does not succeed.
    InitContainerFailed,
    /// Not started: a volume cannot be mounted.
    MountFailed,
    /// Not started: the pod's sandbox or network cannot be made.
    SandboxFailed,
    /// Crash loop: it ends with `exit_code`.
    ExitedWithError,
    /// Crash loop: it ends with success where it should go on.
    ExitedWithSuccess,
    /// Crash loop: it is ended by `signal`.
    Signalled,
    /// Crash loop: it is killed for memory.
    OomKilled,
    /// Its liveness probe fails.
    LivenessProbe,
    /// Its readiness probe fails.
    ReadinessProbe,
    /// Its startup probe fails.
    StartupProbe,
    /// A readiness gate is not met.
    ReadinessGate,
    /// Evicted, or node pressure: memory.
    MemoryPressure,
    /// Evicted, or node pressure: disk.
    DiskPressure,
    /// Evicted, or node pressure: process ids.
    PidPressure,
    /// Evicted: it used more local storage than it may.
    EphemeralStorage,
    /// Evicted: a pod of higher priority took its place.
    Preempted,
    /// Evicted: somebody drains the node.
    Drained,
    /// Evicted: the node got a `taint`.
    TaintEviction,
    /// Without endpoints: no pod has the labels of its selector.
    SelectorMatchesNothing,
    /// Without endpoints: none of its pods is ready.
    NoReadyPods,
    /// Without endpoints: its workload (the object) is scaled to none.
    ZeroReplicas,
    /// Without endpoints: no pod names its target `port`.
    WrongTargetPort,
    /// The kubelet is not heard of.
    KubeletSilent,
    /// The kubelet says so itself.
    KubeletReports,
    /// Somebody forbade new pods.
    Cordoned,
    /// Pods were not ready by the rollout's deadline.
    ProgressDeadlineExceeded,
    /// Its pods failed too often.
    BackoffLimitExceeded,
    /// It took longer than it may.
    DeadlineExceeded,
    /// Its storage class does not exist.
    StorageClassMissing,
    /// No volume fits.
    NoMatchingVolume,
    /// The provisioner failed.
    ProvisioningFailed,
    /// None of these, or one of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}
