//! A change, and the event that tells it.

use bus_schema::entity::Workload;
use bus_schema::event::Body;
use bus_schema::event::kubernetes::{Action, Difference, ImageChanged, SpecChanged};
use bus_schema::{Entity, Severity};
use observer_base::Draft;

use super::index::AUTOSCALER;
use crate::leader::Seen;

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A container got another image.
    Image {
        container: String,
        old: String,
        new: String,
    },
    /// The object came, went, or is another one in other parts; how many more than these, and whom it affects.
    Spec {
        action: Action,
        differences: Vec<Difference>,
        omitted: u32,
        affected: Vec<Workload>,
    },
}

/// What becomes of the pods of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pods {
    /// Nothing.
    Same,
    /// They stay, and new ones will be of another template, which may be a former one: the rollout is held back.
    OfAnotherTemplate,
    /// They are replaced by such ones.
    Replaced,
}

/// Kind, namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) is_workload: bool,
}

/// An object was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) subject: Subject,
    pub(super) what: What,
    pub(super) generation: i64,
    pub(super) manager: String,
    /// Name of the autoscaler that did it.
    pub(super) scaler: Option<String>,
    /// The second in which the API server wrote it, UNIX ns; the same as `observed_ns` where it does not say.
    pub(super) written_ns: u64,
    /// When it happened, as well as that is known, UNIX ns.
    pub(super) time_ns: u64,
    /// When the watch told it, UNIX ns.
    pub(super) observed_ns: u64,
    pub(super) pods: Pods,
    pub(super) is_rollback: bool,
    pub(super) is_late: bool,
}

impl Seen for Change {
    fn observed_ns(&self) -> u64 {
        self.observed_ns
    }
}

impl Change {
    /// The event that tells it.
    pub(super) fn draft(self) -> Draft {
        let held = self.pods == Pods::OfAnotherTemplate;
        let Subject {
            kind,
            namespace,
            name,
            is_workload,
        } = self.subject;
        let scaler = self
            .scaler
            .map(|scaler| Entity::of_object(AUTOSCALER, &namespace, &scaler));
        let subject = if is_workload {
            let kind = kind.to_owned();
            Entity::of_workload(Workload {
                kind,
                namespace,
                name,
            })
        } else {
            Entity::of_object(kind, &namespace, &name)
        };
        let body = match self.what {
            What::Image { container, old, new } => Body::ImageChanged(ImageChanged {
                container,
                old_image: old,
                new_image: new,
                generation: self.generation,
                manager: self.manager,
                rollback: self.is_rollback,
                held,
                late: self.is_late,
            }),
            What::Spec {
                action,
                differences,
                omitted,
                affected,
            } => Body::SpecChanged(SpecChanged {
                differences,
                omitted,
                generation: self.generation,
                manager: self.manager,
                rollback: self.is_rollback,
                action,
                replaces_pods: self.pods == Pods::Replaced,
                held,
                late: self.is_late,
                affected,
            }),
        };
        let draft = Draft::new(self.time_ns, Severity::Notice, subject, body);
        match scaler {
            Some(scaler) => draft.towards(scaler),
            None => draft,
        }
    }
}
