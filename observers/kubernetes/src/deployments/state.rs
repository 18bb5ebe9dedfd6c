//! What an object was like when it was last seen, and what differs between two such states.

use std::borrow::Cow;

use bus_schema::event::kubernetes::Action;
use kube::api::ObjectMeta;

use super::change::{Pods, What};
use super::entries::Entries;
use super::kinds::{Content, KINDS, Kind};
use super::marks::Marks;
use super::object::Object;
use super::writer::{self, Signed};

/// How many former templates of an object are remembered: as many revisions as Kubernetes keeps by default.
const FORMER_TEMPLATES: usize = 10;

/// An object, as far as it is compared with what comes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) uid: Box<str>,
    pub(super) generation: Option<i64>,
    pub(super) content: Content,
    pub(super) marks: Marks,
    /// Hashes of the templates that were seen before its own, the newest last.
    pub(super) former_templates: Vec<u64>,
    /// What its pods run where a rollout is held back: as it was when the templates of both were last the same.
    rolled: Option<Box<Content>>,
    /// All who have written it.
    pub(super) signed: Signed,
    /// Whether a controller makes and removes it.
    pub(super) is_controlled: bool,
    /// Whether it was told that it is deleted; the API server keeps it until it is finalised.
    pub(super) is_leaving: bool,
    /// The list in which it was last seen.
    pub(super) listed: u64,
}

impl State {
    /// As it is now.
    pub(super) fn of(kind: &Kind, object: &Object, marks: Marks, listed: u64) -> Self {
        let meta = &object.metadata;
        Self {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            generation: meta.generation,
            content: (kind.read)(object),
            marks,
            former_templates: Vec::new(),
            rolled: None,
            signed: writer::signed(meta),
            is_controlled: controller(meta).is_some(),
            is_leaving: false,
            listed,
        }
    }

    /// Of one that is to go.
    pub(super) fn leaving(meta: &ObjectMeta, listed: u64) -> Self {
        Self {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            is_leaving: true,
            listed,
            ..Self::default()
        }
    }

    /// Whether it is of this object, not of a former one of its name.
    pub(super) fn is_of(&self, meta: &ObjectMeta) -> bool {
        meta.uid.as_deref().unwrap_or_default() == &*self.uid
    }

    /// Takes over which templates `before`, the state that it replaces, had, and which its pods run.
    pub(super) fn follows(&mut self, before: &Self) {
        if self.uid != before.uid {
            return;
        }
        let runs = before.rolled.as_deref().unwrap_or(&before.content);
        if !self.content.rolls && self.content.template != runs.template {
            self.rolled = Some(Box::new(runs.clone()));
        }
        self.former_templates.clone_from(&before.former_templates);
        if self.content.template != before.content.template {
            self.former_templates.extend(before.content.template);
            let excess = self.former_templates.len().saturating_sub(FORMER_TEMPLATES);
            self.former_templates.drain(..excess);
        }
    }

    /// Whether its template is one of the former ones.
    pub(super) fn ran_before(&self) -> bool {
        self.content
            .template
            .is_some_and(|template| self.former_templates.contains(&template))
    }

    /// Whether an object says what it said: the API server counts the changes of most kinds.
    pub(super) fn is_as(&self, meta: &ObjectMeta, marks: &Marks) -> bool {
        meta.generation.is_some()
            && self.generation == meta.generation
            && self.marks == *marks
            && meta.deletion_timestamp.is_none()
    }

    /// What the one that was not there before is told to be.
    pub(super) fn created(&self) -> What {
        self.alone(Action::Created, |entries| Entries::default().differences(entries))
    }

    /// What the one that is gone was.
    pub(super) fn deleted(&self) -> What {
        self.alone(Action::Deleted, |entries| {
            entries.differences(&Entries::default())
        })
    }

    /// What a workload runs is no difference from nothing; what is in force is one.
    fn alone(
        &self,
        action: Action,
        differences: impl Fn(&Entries) -> (Vec<bus_schema::event::kubernetes::Difference>, u32),
    ) -> What {
        let (differences, omitted) = if self.content.template.is_some() {
            (Vec::new(), 0)
        } else {
            differences(&self.content.entries)
        };
        What::Spec {
            action,
            differences,
            omitted,
            affected: Vec::new(),
        }
    }

    /// What is different in `now`, an object of the same name with these metadata.
    pub(super) fn changed(&self, now: &Self, meta: &ObjectMeta) -> Vec<What> {
        let before = self.compared_with(now);
        let (mut old, mut new) = (
            Cow::Borrowed(&before.entries),
            Cow::Borrowed(&now.content.entries),
        );
        let (former, images) = (&before.images, &now.content.images);
        let mut what = Vec::new();
        for (container, image) in images {
            match former.get(container) {
                Some(former) if former == image => {}
                Some(former) => what.push(What::Image {
                    container: container.to_string(),
                    old: former.to_string(),
                    new: image.to_string(),
                }),
                None => new.to_mut().tell_image(container, image),
            }
        }
        for (container, image) in former.iter().filter(|(name, _)| !images.contains_key(*name)) {
            old.to_mut().tell_image(container, image);
        }
        let (differences, omitted) = old.differences(&new);
        let is_other = || {
            self.uid != now.uid
                || before.template != now.content.template
                || self.marks.were_edited(&now.marks, meta)
        };
        if !differences.is_empty() || (what.is_empty() && is_other()) {
            what.push(What::Spec {
                action: Action::Changed,
                differences,
                omitted,
                affected: Vec::new(),
            });
        }
        what
    }

    /// What `now` is compared with: a rollout that goes on brings all that was held back.
    fn compared_with(&self, now: &Self) -> &Content {
        let held_back = self.rolled.as_deref();
        held_back
            .filter(|_| now.content.rolls && self.uid == now.uid)
            .unwrap_or(&self.content)
    }

    /// What becomes of the pods of this one when it is as `now`.
    pub(super) fn pods(&self, now: &Self) -> Pods {
        let is_same = self.compared_with(now).template == now.content.template && self.uid == now.uid;
        match (is_same, now.content.rolls) {
            (true, _) => Pods::Same,
            (false, false) => Pods::OfAnotherTemplate,
            (false, true) => Pods::Replaced,
        }
    }
}

/// Kind of the controller that makes it.
fn controller(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.next().map(|owner| owner.kind.as_str())
}

/// Whether an object of a kind that is watched itself makes this one, and stands for it.
pub(super) fn is_made_by_a_known_kind(meta: &ObjectMeta) -> bool {
    controller(meta).is_some_and(|controller| KINDS.iter().any(|kind| kind.name == controller))
}
