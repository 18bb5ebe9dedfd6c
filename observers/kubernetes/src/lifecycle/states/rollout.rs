//! In which states a workload or a job is.

use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use crate::lifecycle::facts::{Hints, Job, Topic, Truth, Workload};
use crate::lifecycle::finding::{Because, Finding, NEVER};
use crate::lifecycle::key::Kind;
use crate::lifecycle::reasons;

/// What a Deployment waits for by default: workloads that have no deadline of their own are held to it.
pub(in crate::lifecycle) const PROGRESS_DEADLINE_NS: u64 = 600 * SECOND_NS;
/// A controller tries again within a second of its first failure, and at least this often.
const RETRY_NS: u64 = 1_200 * SECOND_NS;

/// How far the rollout of one workload has come.
#[derive(Debug, Default)]
pub(in crate::lifecycle) struct Progress {
    /// The last generation of which all pods were ready.
    completed: Option<i64>,
    counts: (i64, i32, i32),
    /// When the counts last changed, UNIX ns.
    moved_ns: u64,
    /// When all pods were last there, UNIX ns.
    all_created_ns: u64,
}

/// All states of a workload.
pub(in crate::lifecycle) fn of_workload(
    workload: &Workload,
    progress: &mut Progress,
    hints: &Hints,
    now_ns: u64,
) -> Vec<Finding> {
    progress.see(workload, now_ns);
    let found = if workload.meta.key.kind == Kind::Deployment {
        [refused(workload), overdue(workload)]
    } else {
        [
            not_created(workload, progress, hints, now_ns),
            standing_still(workload, progress),
        ]
    };
    found.into_iter().flatten().collect()
}

impl Progress {
    fn see(&mut self, workload: &Workload, now_ns: u64) {
        let counts = (workload.generation, workload.updated, workload.ready);
        let is_new = self.moved_ns == 0;
        if is_new || counts != self.counts {
            self.counts = counts;
            self.moved_ns = now_ns;
        }
        // Of one that is seen for the first time nobody knows whether its pods were ready before, except by its age.
        let is_old = workload.meta.created_ns + PROGRESS_DEADLINE_NS < now_ns;
        let was_complete = is_new && is_old && workload.updated >= workload.wanted;
        if workload.is_complete() || was_complete {
            self.completed = Some(workload.generation);
        }
        if workload.created >= workload.wanted {
            self.all_created_ns = now_ns;
        }
    }
}

fn refused(workload: &Workload) -> Option<Finding> {
    let failure = workload
        .failure
        .as_ref()
        .filter(|failure| failure.is(Truth::True))?;
    let because = reasons::not_created(&failure.message, &workload.meta.key.namespace);
    Some(Finding::new(State::NotCreated, failure.since_ns, because))
}

fn overdue(workload: &Workload) -> Option<Finding> {
    let progressing = workload.progressing.as_ref().filter(|it| it.is(Truth::False))?;
    (progressing.reason == "ProgressDeadlineExceeded").then(|| {
        let because = Because::of(Reason::ProgressDeadlineExceeded).saying(&progressing.message);
        Finding::new(State::RolloutStuck, progressing.since_ns, because)
    })
}

fn not_created(workload: &Workload, progress: &Progress, hints: &Hints, now_ns: u64) -> Option<Finding> {
    if workload.created >= workload.wanted && workload.is_observed {
        return None;
    }
    let hint = hints.of(Topic::NotCreated)?;
    let is_new = hint.last_ns + SECOND_NS > progress.all_created_ns && hint.last_ns + RETRY_NS > now_ns;
    is_new.then(|| {
        let because = reasons::not_created(&hint.message, &workload.meta.key.namespace);
        Finding::new(State::NotCreated, hint.first_ns, because)
    })
}

fn standing_still(workload: &Workload, progress: &Progress) -> Option<Finding> {
    let is_complete = progress.completed == Some(workload.generation);
    if is_complete || workload.is_manual {
        return None;
    }
    let because = Because::of(Reason::ProgressDeadlineExceeded).saying(&format!(
        "{} of {} pods are new, {} ready",
        workload.updated, workload.wanted, workload.ready
    ));
    let finding = Finding::new(State::RolloutStuck, progress.moved_ns, because);
    Some(finding.lasting(PROGRESS_DEADLINE_NS))
}

/// All states of a job.
pub(in crate::lifecycle) fn of_job(job: &Job, hints: &Hints) -> Vec<Finding> {
    let failed = job.failed.as_ref().filter(|failed| failed.is(Truth::True));
    let failed = failed.map(|failed| {
        let reason = match failed.reason.as_str() {
            "BackoffLimitExceeded" | "PodFailurePolicy" | "MaxFailedIndexesExceeded" | "FailedIndexes" => {
                Reason::BackoffLimitExceeded
            }
            "DeadlineExceeded" => Reason::DeadlineExceeded,
            _ => Reason::Unknown,
        };
        let because = Because::of(reason).saying(&failed.message);
        Finding::new(State::JobFailed, failed.since_ns, because)
    });
    let refused = hints
        .of(Topic::NotCreated)
        .filter(|_| !job.has_pods && failed.is_none());
    let refused = refused.map(|hint| {
        let because = reasons::not_created(&hint.message, &job.meta.key.namespace);
        Finding::new(State::NotCreated, hint.first_ns, because).until(NEVER)
    });
    failed.into_iter().chain(refused).collect()
}
