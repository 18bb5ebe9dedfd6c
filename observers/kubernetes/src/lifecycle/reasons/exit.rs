//! Why a container ended.

use bus_schema::event::kubernetes::Reason;

use crate::lifecycle::facts::{End, Hint, Topic};
use crate::lifecycle::finding::Because;

/// Exit codes above this are signals, as shells and runtimes say it.
const SIGNALS: i32 = 128;
/// Events tell whole seconds.
const SECOND_NS: u64 = 1_000_000_000;

/// `killed` is the newest Event that says that a probe had it ended, and `said` what the probe said.
pub(in crate::lifecycle) fn ended(end: &End, killed: Option<&Hint>, said: Option<&Hint>) -> Because {
    let signal = if end.signal > 0 {
        end.signal
    } else {
        end.code - SIGNALS
    };
    let exit = end.code.to_string();
    let lived = end.started_ns..=end.ended_ns.saturating_add(SECOND_NS);
    let in_life = |hint: &&Hint| end.reason != "OOMKilled" && lived.contains(&hint.last_ns);
    // The kubelet keeps back Events that are too many: the failed probe may be all that is told.
    let failed = said.filter(|_| is_ended_from_outside(end)).filter(in_life);
    if let Some(by) = killed.filter(in_life).or(failed) {
        let is_startup = by.topic == Topic::Startup || by.message.contains("startup probe");
        let (reason, probe) = if is_startup {
            (Reason::StartupProbe, "startup")
        } else {
            (Reason::LivenessProbe, "liveness")
        };
        let message = said.map_or(by.message.as_str(), |said| said.message.as_str());
        return Because::of(reason)
            .saying(message)
            .detail("probe", probe)
            .detail("exit_code", exit);
    }
    let because = if end.reason == "OOMKilled" {
        Because::of(Reason::OomKilled)
    } else if end.code == 0 {
        Because::of(Reason::ExitedWithSuccess)
    } else if (1..=64).contains(&signal) {
        Because::of(Reason::Signalled).detail("signal", signal.to_string())
    } else {
        Because::of(Reason::ExitedWithError)
    };
    because.detail("exit_code", exit)
}

/// By a signal that a kubelet sends.
pub(in crate::lifecycle) fn is_ended_from_outside(end: &End) -> bool {
    const BY_KILL: i32 = SIGNALS + 9;
    const BY_TERM: i32 = SIGNALS + 15;
    end.reason != "OOMKilled" && matches!(end.code, BY_KILL | BY_TERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: i32, reason: &str) -> End {
        End {
            code,
            signal: 0,
            reason: reason.into(),
            message: String::new(),
            started_ns: 10 * SECOND_NS,
            ended_ns: 20 * SECOND_NS,
        }
    }

    fn hint(topic: Topic, message: &str, at_seconds: u64) -> Hint {
        Hint {
            uid: "u".into(),
            topic,
            container: "web".into(),
            message: message.into(),
            count: 1,
            first_ns: 0,
            last_ns: at_seconds * SECOND_NS,
        }
    }

    #[test]
    fn each_way_to_end_has_its_reason() {
        assert_eq!(
            ended(&end(1, "Error"), None, None).reason,
            Reason::ExitedWithError
        );
        assert_eq!(
            ended(&end(0, "Completed"), None, None).reason,
            Reason::ExitedWithSuccess
        );
        let oom = ended(&end(137, "OOMKilled"), None, None);
        assert_eq!(
            (oom.reason, oom.details["exit_code"].as_str()),
            (Reason::OomKilled, "137")
        );
        let signalled = ended(&end(139, "Error"), None, None);
        assert_eq!(signalled.reason, Reason::Signalled);
        assert_eq!(signalled.details["signal"], "11");
        assert_eq!(
            ended(&end(255, "Error"), None, None).reason,
            Reason::ExitedWithError
        );
    }

    #[test]
    fn a_container_that_a_probe_ended_did_not_end_by_itself() {
        let killed = hint(
            Topic::Killed,
            "Container web failed liveness probe, will be restarted",
            15,
        );
        let said = hint(
            Topic::Liveness,
            "Liveness probe failed: HTTP probe failed with statuscode: 500",
            15,
        );
        let because = ended(&end(137, "Error"), Some(&killed), Some(&said));
        assert_eq!(because.reason, Reason::LivenessProbe);
        assert_eq!(
            because.message,
            "Liveness probe failed: HTTP probe failed with statuscode: 500"
        );
        let of_another_life = hint(
            Topic::Killed,
            "Container web failed liveness probe, will be restarted",
            5,
        );
        assert_eq!(
            ended(&end(1, "Error"), Some(&of_another_life), None).reason,
            Reason::ExitedWithError
        );
    }
}
