//! Whether a container stays up.

use std::collections::BTreeMap;

use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use crate::lifecycle::facts::{Container, End, Hints, Now, Topic};
use crate::lifecycle::finding::{Because, Finding};
use crate::lifecycle::reasons;

/// A container that has run for this long has left its loop. The kubelet forgets its back-off only after ten minutes.
pub(in crate::lifecycle) const LOOP_END_NS: u64 = 120 * SECOND_NS;
/// So many restarts within this time are a loop, whatever the kubelet says.
const LOOP_RESTARTS: usize = 3;
const LOOP_WITHIN_NS: u64 = 600 * SECOND_NS;

/// How the containers of one pod have ended so far; empty while none has.
#[derive(Debug, Default)]
pub(in crate::lifecycle) struct Crashes(BTreeMap<String, Crash>);

#[derive(Debug, Default)]
struct Crash {
    restarts: i32,
    /// The last few ends, UNIX ns.
    ends_ns: Vec<u64>,
    /// Since when it is in a loop, UNIX ns.
    looping_since_ns: Option<u64>,
    /// Why it was killed before, where that was said.
    killed_for: Option<Because>,
}

impl Crashes {
    /// The loop in which `container` is now.
    pub(in crate::lifecycle) fn see(
        &mut self,
        container: &Container,
        hints: &Hints,
        now_ns: u64,
    ) -> Option<Finding> {
        let end = last_end(container)?;
        if reasons::is_bad_command(end) {
            self.0.remove(&container.name);
            return None;
        }
        let crash = self.0.entry(container.name.clone()).or_default();
        if container.restarts > crash.restarts {
            crash.restarts = container.restarts;
            crash.ends_ns.push(end.ended_ns);
            if crash.ends_ns.len() > LOOP_RESTARTS {
                crash.ends_ns.remove(0);
            }
        }
        let first_ns = crash.ends_ns.first().copied().unwrap_or(end.ended_ns);
        let is_backing_off = is_backing_off(container);
        let is_frequent =
            crash.ends_ns.len() == LOOP_RESTARTS && end.ended_ns.saturating_sub(first_ns) <= LOOP_WITHIN_NS;
        let until_ns = match container.now {
            Now::Running { since_ns } => since_ns.saturating_add(LOOP_END_NS),
            Now::Waiting { .. } | Now::Ended(_) => crate::lifecycle::finding::NEVER,
        };
        if until_ns <= now_ns {
            crash.looping_since_ns = None;
            crash.ends_ns.clear();
            crash.killed_for = None;
            return None;
        }
        if crash.looping_since_ns.is_none() && (is_backing_off || is_frequent) {
            crash.looping_since_ns = Some(first_ns);
        }
        let said = hints
            .about(Topic::Liveness, &container.name)
            .or_else(|| hints.about(Topic::Startup, &container.name));
        let because = reasons::ended(end, hints.about(Topic::Killed, &container.name), said);
        let because = crash.remembering(because, end);
        let because = match &container.now {
            Now::Waiting { message, .. } if because.message.is_empty() => because.saying(message),
            Now::Waiting { .. } | Now::Running { .. } | Now::Ended(_) => because,
        };
        let finding = Finding::new(State::CrashLooping, crash.looping_since_ns?, because);
        Some(finding.of_container(&container.name).until(until_ns))
    }
}

impl Crash {
    /// A kubelet that has told of a probe too often tells no more of it, and a runtime says only mostly that a kill was for
    /// memory: an unexplained kill has the reason of the one before.
    fn remembering(&mut self, because: Because, end: &End) -> Because {
        if matches!(
            because.reason,
            Reason::LivenessProbe | Reason::StartupProbe | Reason::OomKilled
        ) {
            self.killed_for = Some(because.clone());
        }
        let before = self
            .killed_for
            .clone()
            .filter(|_| reasons::is_ended_from_outside(end));
        before.unwrap_or(because)
    }
}

/// How it ended, now or the time before.
pub(super) fn last_end(container: &Container) -> Option<&End> {
    match &container.now {
        Now::Ended(end) => Some(end),
        Now::Waiting { .. } | Now::Running { .. } => container.last.as_ref(),
    }
}

pub(super) fn is_backing_off(container: &Container) -> bool {
    matches!(&container.now, Now::Waiting { reason, .. } if reason == "CrashLoopBackOff")
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Role;
    use super::*;

    const MINUTE_NS: u64 = 60 * SECOND_NS;

    fn end(at_ns: u64) -> End {
        End {
            code: 1,
            signal: 0,
            reason: "Error".into(),
            message: String::new(),
            started_ns: at_ns.saturating_sub(SECOND_NS),
            ended_ns: at_ns,
        }
    }

    fn container(restarts: i32, now: Now, last_ns: u64) -> Container {
        Container {
            name: "web".into(),
            image: "web:1".into(),
            role: Role::Main,
            is_ready: false,
            is_started: true,
            restarts,
            now,
            last: Some(end(last_ns)),
        }
    }

    fn backing_off() -> Now {
        Now::Waiting {
            reason: "CrashLoopBackOff".into(),
            message: "back-off 5m0s restarting failed container".into(),
        }
    }

    #[test]
    fn a_loop_is_one_through_long_back_offs_and_ends_when_the_container_stays_up() {
        let (mut crashes, hints) = (Crashes::default(), Hints::default());
        let mut see = |restarts, now: Now, last_ns, now_ns| {
            crashes.see(&container(restarts, now, last_ns), &hints, now_ns)
        };
        let first = see(1, backing_off(), MINUTE_NS, MINUTE_NS).unwrap();
        assert_eq!(first.because.reason, Reason::ExitedWithError);
        assert_eq!(first.since_ns, MINUTE_NS);
        for round in 1..6 {
            let began_ns = MINUTE_NS + round * 5 * MINUTE_NS;
            let running = Now::Running { since_ns: began_ns };
            let brief = see(1, running, MINUTE_NS, began_ns + SECOND_NS).unwrap();
            assert_eq!(
                (brief.since_ns, brief.until_ns),
                (MINUTE_NS, began_ns + LOOP_END_NS)
            );
            let again = see(1, backing_off(), MINUTE_NS, began_ns + 2 * SECOND_NS).unwrap();
            assert_eq!(again.since_ns, MINUTE_NS);
        }
        let running = Now::Running {
            since_ns: 40 * MINUTE_NS,
        };
        assert_eq!(see(1, running.clone(), MINUTE_NS, 42 * MINUTE_NS), None);
        assert_eq!(see(1, running, MINUTE_NS, 43 * MINUTE_NS), None);
    }

    #[test]
    fn three_restarts_in_ten_minutes_are_a_loop_and_three_in_an_hour_are_not() {
        let hints = Hints::default();
        let loops = |gap_ns: u64| {
            let mut crashes = Crashes::default();
            (1..=3_i32)
                .filter_map(|restart| {
                    let at_ns = gap_ns * u64::from(restart.unsigned_abs());
                    let running = Now::Running { since_ns: at_ns };
                    crashes.see(&container(restart, running, at_ns), &hints, at_ns + SECOND_NS)
                })
                .count()
        };
        assert_eq!(loops(2 * MINUTE_NS), 1);
        assert_eq!(loops(20 * MINUTE_NS), 0);
    }

    #[test]
    fn a_command_that_cannot_be_run_is_no_loop() {
        let mut container = container(4, backing_off(), MINUTE_NS);
        container.last = Some(End {
            reason: "StartError".into(),
            ..end(MINUTE_NS)
        });
        assert_eq!(
            Crashes::default().see(&container, &Hints::default(), MINUTE_NS),
            None
        );
    }
}
