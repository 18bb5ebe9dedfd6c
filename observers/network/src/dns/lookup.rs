//! One question and its end.

use bus_schema::event::dns::DnsProblem;
use ebpf::dns::{End, Unanswered};
use ebpf::raw::{DnsAnswer, Task};

use super::message::{self, Told};
use super::{Asker, Way};

/// A question with its answer, or without one.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub(super) task: Task,
    pub(super) server: [u32; 4],
    pub(super) netns: u32,
    pub(super) name: String,
    pub(super) record_type: String,
    pub(super) code: u8,
    /// What the network said, where nothing came.
    pub(super) errno: Option<i32>,
    pub(super) latency_ns: u64,
    pub(super) attempts: u32,
    /// Since boot.
    pub(super) ended_ns: u64,
    is_truncated: bool,
}

impl Lookup {
    /// `None` where the answer cannot be read.
    pub(super) fn of_answer(answer: &DnsAnswer) -> Option<Self> {
        let told = message::read(beginning(&answer.message, answer.length))?;
        Some(Self::answered(answer, told))
    }

    /// The same of one that cannot be read.
    pub(super) fn malformed(answer: &DnsAnswer) -> Self {
        let told = Told {
            name: String::new(),
            record_type: String::new(),
            code: 0,
            is_truncated: false,
        };
        Self::answered(answer, told)
    }

    fn answered(answer: &DnsAnswer, told: Told) -> Self {
        Self {
            task: answer.task,
            server: answer.server,
            netns: answer.netns,
            name: told.name,
            record_type: told.record_type,
            code: told.code,
            errno: None,
            latency_ns: answer.latency_ns,
            attempts: answer.attempts,
            ended_ns: answer.head.time_ns,
            is_truncated: told.is_truncated,
        }
    }

    pub(super) fn of_question(unanswered: &Unanswered) -> Self {
        let question = &unanswered.question;
        let told = message::read(beginning(&question.message, question.length));
        let (name, record_type) = told.map(|told| (told.name, told.record_type)).unwrap_or_default();
        let errno = if let End::Failed(errno) = unanswered.end {
            i32::try_from(errno).ok()
        } else {
            None
        };
        Self {
            task: question.task,
            server: question.server,
            netns: question.netns,
            name,
            record_type,
            code: 0,
            errno,
            latency_ns: unanswered.waited_ns,
            attempts: question.attempts,
            ended_ns: question.asked_ns + unanswered.waited_ns,
            is_truncated: false,
        }
    }

    pub(super) fn asker(&self) -> Asker {
        (self.task.cgroup_id, self.task.comm)
    }

    pub(super) fn way(&self) -> Way {
        (self.asker(), self.server, self.netns)
    }

    /// What is wrong with an answer whose name exists as far as it tells.
    pub(super) fn problem(&self) -> Option<DnsProblem> {
        match self.code {
            0 if self.is_truncated => Some(DnsProblem::Truncated),
            0 => None,
            message::NAME_UNKNOWN => Some(DnsProblem::NameUnknown),
            message::SERVER_FAILED => Some(DnsProblem::ServerFailed),
            message::REFUSED => Some(DnsProblem::Refused),
            _ => Some(DnsProblem::Other),
        }
    }
}

/// What was kept of a message.
fn beginning(message: &[u8], length: u32) -> &[u8] {
    message.get(..length as usize).unwrap_or(message)
}
