//! Which states hold, so that each is told once when it is entered, once for each other reason, and once when it ends.

use std::collections::HashMap;

use bus_schema::event::kubernetes::{ObjectState, State};
use bus_schema::{Entity, Severity};

use super::finding::{Because, Finding, NEVER};
use super::key::Key;

/// A state was entered, has another reason, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) subject: Entity,
    pub(super) object: Option<Entity>,
    pub(super) body: ObjectState,
    /// When it was found out, UNIX ns.
    pub(super) observed_ns: u64,
}

impl Transition {
    /// How bad it is on its own.
    pub(super) fn severity(&self) -> Severity {
        if !self.body.holds {
            return Severity::Info;
        }
        match self.body.state {
            State::CrashLooping | State::RolloutStuck | State::JobFailed | State::NodeNotReady => {
                Severity::Error
            }
            State::NodeCordoned => Severity::Notice,
            State::Unschedulable
            | State::NotCreated
            | State::NotStarted
            | State::NotReady
            | State::Evicted
            | State::WithoutEndpoints
            | State::NodePressure
            | State::VolumePending
            | State::Unknown => Severity::Warning,
        }
    }
}

/// Another reason counts when it has stood for so long: what several components say changes one after the other.
const OTHER_REASON_NS: u64 = 3_000_000_000;

#[derive(Debug)]
struct Told {
    subject: Entity,
    state: State,
    container: String,
    because: Because,
    since_ns: u64,
    /// When another reason was first seen, UNIX ns, and which.
    other: Option<(u64, Because)>,
}

impl Told {
    /// Whether the reason is another one by now; otherwise when it may be.
    fn takes(&mut self, because: Because, now_ns: u64) -> Result<(), u64> {
        if self.because.is_as(&because) || because.is_vague() {
            self.other = None;
            return Err(NEVER);
        }
        let known = self.other.as_ref().filter(|(_, other)| other.is_as(&because));
        let first_ns = known.map_or(now_ns, |(first_ns, _)| *first_ns);
        let counts_ns = first_ns.saturating_add(OTHER_REASON_NS);
        if counts_ns > now_ns {
            self.other = Some((first_ns, because));
            return Err(counts_ns);
        }
        self.other = None;
        self.because = because;
        Ok(())
    }
}

/// When something is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) now_ns: u64,
    /// What began before this is told late: nobody watched.
    pub(super) watched_since_ns: u64,
}

/// What was told and has not ended, by object.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<Key, Vec<Told>>);

impl Held {
    /// Compares what is found with what was told. Gives what to tell, and when to look again if nothing happens.
    pub(super) fn reconcile(
        &mut self,
        key: &Key,
        findings: Vec<Finding>,
        subject: impl Fn(&str) -> Entity,
        look: Look,
    ) -> (Vec<Transition>, u64) {
        let now_ns = look.now_ns;
        let mut transitions = Vec::new();
        let mut again_ns = NEVER;
        let told = self.0.entry(key.clone()).or_default();
        let findings: Vec<_> = findings
            .into_iter()
            .filter(|finding| finding.until_ns > now_ns)
            .collect();
        told.retain(|told| {
            let goes_on = findings.iter().any(|finding| is_same(told, finding));
            if !goes_on {
                transitions.push(transition(told, false, look));
            }
            goes_on
        });
        for finding in findings {
            again_ns = again_ns.min(finding.until_ns);
            let known = told.iter_mut().find(|told| is_same(told, &finding));
            if let Some(known) = known {
                if finding.due_ns > now_ns {
                    again_ns = again_ns.min(finding.due_ns);
                    continue;
                }
                match known.takes(finding.because, now_ns) {
                    Ok(()) => transitions.push(transition(known, true, look)),
                    Err(counts_ns) => again_ns = again_ns.min(counts_ns),
                }
            } else if finding.due_ns > now_ns {
                again_ns = again_ns.min(finding.due_ns);
            } else {
                let begun = Told {
                    subject: subject(&finding.container),
                    state: finding.state,
                    container: finding.container,
                    because: finding.because,
                    since_ns: finding.since_ns,
                    other: None,
                };
                transitions.push(transition(&begun, true, look));
                told.push(begun);
            }
        }
        if told.is_empty() {
            self.0.remove(key);
        }
        (transitions, again_ns)
    }

    /// Whether the object is in that state.
    pub(super) fn is_in(&self, key: &Key, state: State) -> bool {
        self.0
            .get(key)
            .is_some_and(|told| told.iter().any(|told| told.state == state))
    }
}

fn is_same(told: &Told, finding: &Finding) -> bool {
    told.state == finding.state && told.container == finding.container
}

fn transition(told: &Told, holds: bool, look: Look) -> Transition {
    let Because {
        reason,
        object,
        details,
        message,
    } = told.because.clone();
    Transition {
        subject: told.subject.clone(),
        object,
        body: ObjectState {
            state: told.state,
            holds,
            reason,
            message,
            since_ns: told.since_ns,
            details,
            late: holds && told.since_ns < look.watched_since_ns,
        },
        observed_ns: look.now_ns,
    }
}

#[cfg(test)]
mod tests {
    use bus_schema::event::kubernetes::Reason;

    use super::super::key::Kind;
    use super::*;

    fn finding(reason: Reason) -> Finding {
        Finding::new(State::NotStarted, 5, Because::of(reason))
    }

    fn at(now_ns: u64) -> Look {
        Look {
            now_ns,
            watched_since_ns: 0,
        }
    }

    struct Case(Held);

    impl Case {
        fn see(&mut self, findings: Vec<Finding>, look: Look) -> (Vec<(bool, Reason)>, u64) {
            let key = Key::new(Kind::Pod, "shop", "a");
            let (told, again_ns) = self.0.reconcile(&key, findings, |_| Entity::default(), look);
            let told = told
                .iter()
                .map(|told| (told.body.holds, told.body.reason))
                .collect();
            (told, again_ns)
        }
    }

    #[test]
    fn a_state_is_told_when_it_begins_when_its_reason_changes_and_when_it_ends() {
        let mut case = Case(Held::default());
        let mut now_ns = 10;
        let mut see = |case: &mut Case, findings| {
            now_ns += OTHER_REASON_NS;
            case.see(findings, at(now_ns)).0
        };
        assert_eq!(
            see(&mut case, vec![finding(Reason::ImageNotFound)]),
            [(true, Reason::ImageNotFound)]
        );
        assert_eq!(see(&mut case, vec![finding(Reason::ImageNotFound)]), []);
        assert_eq!(see(&mut case, vec![finding(Reason::ImagePullFailed)]), []);
        assert_eq!(
            see(&mut case, vec![finding(Reason::SecretMissing)]),
            [],
            "it may pass"
        );
        assert_eq!(
            see(&mut case, vec![finding(Reason::SecretMissing)]),
            [(true, Reason::SecretMissing)]
        );
        assert_eq!(see(&mut case, vec![]), [(false, Reason::SecretMissing)]);
        assert_eq!(see(&mut case, vec![]), []);
        assert!(case.0.0.is_empty());
    }

    #[test]
    fn what_passes_before_it_is_due_is_never_told_and_what_stays_is_looked_at_again() {
        let mut case = Case(Held::default());
        let soon = || vec![finding(Reason::MountFailed).not_before(20)];
        assert_eq!(case.see(soon(), at(10)), (vec![], 20));
        assert_eq!(case.see(vec![], at(15)), (vec![], NEVER));
        assert_eq!(case.see(soon(), at(20)).0, [(true, Reason::MountFailed)]);
    }

    #[test]
    fn a_reason_that_comes_and_goes_is_not_told() {
        let mut case = Case(Held::default());
        let (first, other) = (Reason::ImageNotFound, Reason::SecretMissing);
        assert_eq!(case.see(vec![finding(first)], at(1)).0, [(true, first)]);
        for round in 1..5 {
            let now_ns = round * 2 * OTHER_REASON_NS;
            let again_ns = now_ns + OTHER_REASON_NS;
            assert_eq!(case.see(vec![finding(other)], at(now_ns)), (vec![], again_ns));
            assert_eq!(case.see(vec![finding(first)], at(now_ns + 1)).0, []);
        }
    }

    #[test]
    fn a_state_ends_by_itself_at_its_time() {
        let mut case = Case(Held::default());
        let lasting = || vec![finding(Reason::ExitedWithError).until(30)];
        assert_eq!(
            case.see(lasting(), at(10)),
            (vec![(true, Reason::ExitedWithError)], 30)
        );
        assert_eq!(case.see(lasting(), at(30)).0, [(false, Reason::ExitedWithError)]);
    }

    #[test]
    fn what_began_while_nobody_watched_is_told_late() {
        let mut held = Held::default();
        let key = Key::new(Kind::Pod, "shop", "a");
        let look = Look {
            now_ns: 10,
            watched_since_ns: 6,
        };
        let (told, _) = held.reconcile(&key, vec![finding(Reason::Unknown)], |_| Entity::default(), look);
        assert!(told[0].body.late && told[0].body.since_ns == 5);
    }
}
