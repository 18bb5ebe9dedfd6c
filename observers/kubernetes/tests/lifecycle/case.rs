//! One state: how it is made, what has to be told, and how it ends.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bus_schema::event::kubernetes::{ObjectState, Reason, State};

use crate::kubectl::{apply, namespace, shell};
use crate::told::Told;

/// From making it until it is told: a pod that never is ready is given 30 s, a kubelet backs off from a mount.
const BEGINS_WITHIN: Duration = Duration::from_secs(150);
/// From mending it until that is told: a controller that was refused waits longer each time.
const ENDS_WITHIN: Duration = Duration::from_secs(200);
/// Nothing more is told within this time.
const QUIET: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// A case in a namespace of its own.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Its name, and that of its namespace or of its node.
    pub(crate) name: &'static str,
    pub(crate) objects: String,
    /// What is typed before the objects are made, after that, to mend it, and when all is over.
    pub(crate) before: &'static str,
    pub(crate) then: &'static str,
    pub(crate) mend: &'static str,
    pub(crate) after: &'static str,
    pub(crate) expected: Vec<Expected>,
}

/// One state that is told once.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) state: State,
    pub(crate) reason: Reason,
    /// Identity of the subject, and of the object; `$N` is the namespace.
    pub(crate) subject: &'static str,
    pub(crate) object: &'static str,
    pub(crate) details: Vec<(&'static str, &'static str)>,
    /// A part of what Kubernetes says.
    pub(crate) message: &'static str,
}

impl Case {
    /// Ended by deleting everything, where nothing else is said.
    pub(crate) fn new(name: &'static str, objects: impl Into<String>) -> Self {
        Self {
            name,
            objects: objects.into(),
            before: "true",
            then: "true",
            mend: "kubectl delete namespace $N --wait=false",
            after: "true",
            expected: Vec::new(),
        }
    }

    pub(crate) fn mended_by(self, mend: &'static str) -> Self {
        Self { mend, ..self }
    }

    pub(crate) fn tells(mut self, state: State, reason: Reason, subject: &'static str) -> Self {
        self.expected.push(Expected {
            state,
            reason,
            subject,
            object: "",
            details: Vec::new(),
            message: "",
        });
        self
    }

    pub(crate) fn object(mut self, object: &'static str) -> Self {
        self.expected.last_mut().unwrap().object = object;
        self
    }

    pub(crate) fn detail(mut self, name: &'static str, value: &'static str) -> Self {
        self.expected.last_mut().unwrap().details.push((name, value));
        self
    }

    pub(crate) fn message(mut self, part: &'static str) -> Self {
        self.expected.last_mut().unwrap().message = part;
        self
    }

    /// What is missing or too much of what was told; empty when all is right.
    fn complaint(&self, told: &Told, holds: bool) -> String {
        let all = told.of(self.name);
        let mut complaint = String::new();
        for expected in &self.expected {
            let subject = expected.subject.replace("$N", self.name);
            let object = expected.object.replace("$N", self.name);
            let right = all.iter().filter(|(event, state)| {
                let is_object = event
                    .object
                    .as_ref()
                    .map(bus_schema::Entity::key)
                    .unwrap_or_default()
                    == object;
                let mut details = expected.details.iter();
                state.state == expected.state
                    && state.reason == expected.reason
                    && state.holds == holds
                    && event.subject.key() == subject
                    && is_object
                    && details
                        .all(|(name, value)| state.details.get(*name).is_some_and(|known| known == value))
                    && state.message.contains(expected.message)
                    && !state.late
            });
            let count = right.count();
            if count != 1 {
                write!(
                    complaint,
                    "{:?} {:?} of {subject} told {count} times; ",
                    expected.state, expected.reason
                )
                .unwrap();
            }
        }
        let count = all.iter().filter(|(_, state)| state.holds == holds).count();
        if count > self.expected.len() {
            write!(complaint, "{count} told, {} expected; ", self.expected.len()).unwrap();
        }
        complaint
    }
}

/// Makes all cases, waits until each is told, mends them, waits until that is told, and listens for more.
pub(crate) async fn check(cases: Vec<Case>, told: &Told) {
    let made: Vec<_> = cases
        .iter()
        .cloned()
        .map(|case| {
            tokio::task::spawn_blocking(move || {
                namespace(case.name);
                shell(case.name, case.before);
                apply(case.name, &case.objects);
                shell(case.name, case.then);
            })
        })
        .collect();
    for made in made {
        made.await.unwrap();
    }
    let begun = settle(&cases, told, true, BEGINS_WITHIN).await;
    let mended: Vec<_> = cases
        .iter()
        .cloned()
        .map(|case| tokio::task::spawn_blocking(move || shell(case.name, case.mend)))
        .collect();
    for mended in mended {
        mended.await.unwrap();
    }
    let ended = settle(&cases, told, false, ENDS_WITHIN).await;
    for case in &cases {
        shell(case.name, case.after);
        shell(
            case.name,
            "kubectl delete namespace $N --ignore-not-found --wait=false",
        );
    }
    let complaints = begun + &ended;
    assert!(complaints.is_empty(), "{complaints}");
}

/// Waits until nothing is to be complained of, and for a while that it stays so. Gives the complaints.
async fn settle(cases: &[Case], told: &Told, holds: bool, within: Duration) -> String {
    let is_open = |case: &&Case| !case.complaint(told, holds).is_empty();
    let began = Instant::now();
    while cases.iter().any(|case| is_open(&case)) && began.elapsed() < within {
        tokio::time::sleep(PAUSE).await;
    }
    let took = began.elapsed();
    tokio::time::sleep(QUIET).await;
    println!("{} cases, holds {holds}: settled in {took:.1?}", cases.len());
    let open = cases.iter().filter(is_open);
    let complaints = open.map(|case| {
        let all: Vec<_> = told
            .of(case.name)
            .into_iter()
            .map(|(event, state)| {
                let object = event.object.as_ref().map(bus_schema::Entity::key);
                let ObjectState {
                    state,
                    holds,
                    reason,
                    message,
                    details,
                    ..
                } = state;
                let subject = event.subject.key();
                format!(
                    "      {holds} {state:?} {reason:?} of {subject} by {object:?} {details:?}: {message}"
                )
            })
            .collect();
        format!(
            "\n{} (holds {holds}): {}\n{}",
            case.name,
            case.complaint(told, holds),
            all.join("\n")
        )
    });
    complaints.collect()
}
