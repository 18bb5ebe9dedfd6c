//! Questions to name servers that wait for their answers, in the programs' own table.

use aya::Ebpf;
use aya::maps::{HashMap, MapData};

use crate::loaded::unusable;
use crate::loader::Error;
use crate::raw::{Asker, Question, QuestionKey};

const QUESTIONS: &str = "questions";
const ASKERS: &str = "askers";

/// A question without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// What was asked.
    pub question: Question,
    /// Since it was asked first, ns.
    pub waited_ns: u64,
    /// Why.
    pub end: End,
}

/// Why a question had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// None came.
    Silence,
    /// Its socket was closed meanwhile.
    Closed,
    /// The network said that it cannot arrive, with this errno.
    Failed(u32),
}

/// See [`crate::Loaded::take_unanswered`].
pub(crate) fn take_unanswered(
    bpf: &mut Ebpf,
    now_ns: u64,
    patience_ns: u64,
) -> Result<Vec<Unanswered>, Error> {
    let Some(map) = bpf.map(ASKERS) else {
        return Ok(Vec::new());
    };
    let askers: HashMap<&MapData, u64, Asker> =
        HashMap::try_from(map).map_err(|source| unusable(ASKERS, source))?;
    let map = bpf.map(QUESTIONS).ok_or_else(missing)?;
    let questions: HashMap<&MapData, QuestionKey, Question> =
        HashMap::try_from(map).map_err(|source| unusable(QUESTIONS, source))?;
    let waiting = questions.iter().filter_map(Result::ok);
    let over: Vec<_> = waiting
        .filter_map(|(key, question)| {
            let asker = askers.get(&key.socket, 0).ok();
            Some((key, unanswered(&question, asker, now_ns, patience_ns)?))
        })
        .collect();
    let map = bpf.map_mut(QUESTIONS).ok_or_else(missing)?;
    let mut questions: HashMap<&mut MapData, QuestionKey, Question> =
        HashMap::try_from(map).map_err(|source| unusable(QUESTIONS, source))?;
    // One that was answered meanwhile is none any more.
    let taken = over.into_iter().filter(|(key, _)| questions.remove(key).is_ok());
    Ok(taken.map(|(_, unanswered)| unanswered).collect())
}

/// Whether a question is over at `now_ns`, and how.
fn unanswered(
    question: &Question,
    asker: Option<Asker>,
    now_ns: u64,
    patience_ns: u64,
) -> Option<Unanswered> {
    let after = |time_ns: u64| (time_ns >= question.again_ns).then_some(time_ns);
    let failed = asker.and_then(|asker| Some((after(asker.failed_ns)?, End::Failed(asker.error))));
    let closed = asker.and_then(|asker| Some((after(asker.closed_ns)?, End::Closed)));
    let (end_ns, end) = failed.or(closed).unwrap_or((now_ns, End::Silence));
    let waited_ns = end_ns.saturating_sub(question.asked_ns);
    (end != End::Silence || waited_ns >= patience_ns).then_some(Unanswered {
        question: *question,
        waited_ns,
        end,
    })
}

fn missing() -> Error {
    Error::Map {
        name: QUESTIONS,
        source: None,
    }
}
