//! Whether exchanges may pass unseen because nobody can read their bytes: a detail that is missing, not a loss of so many events.

use bus_schema::event::node::{Capability, Coverage};

/// What is not read for so many seconds any more is over: who serves by `io_uring` is called more often.
const QUIET_SECONDS: u32 = 60;

/// What was told of messages of one kind that cannot be read.
#[derive(Debug)]
pub(crate) struct Unread {
    hook: &'static str,
    reason: &'static str,
    total: u64,
    /// Seconds for which it will still be told; 0: nothing is missing.
    remaining: u32,
}

impl Unread {
    /// Bytes of HTTP/1 that lie where nobody may look.
    pub(crate) fn http() -> Self {
        Self::of(
            "payload",
            "messages of io_uring, or responses out of files, cannot be read: their HTTP status is not known",
        )
    }

    /// Connections of HTTP/2 from before the observer.
    pub(crate) fn http2_older() -> Self {
        Self::of(
            "http2_before",
            "connections of HTTP/2 are older than the observer: what their headers say is not known",
        )
    }

    /// Connections of HTTP/2 that could not be followed.
    pub(crate) fn http2_lost() -> Self {
        Self::of(
            "http2",
            "something of connections of HTTP/2 could not be read: what their headers say is not known any more",
        )
    }

    /// Connections of TLS whose clear text nobody sees.
    pub(crate) fn tls() -> Self {
        Self::of(
            "tls",
            "connections of TLS carry HTTP/2, or are encrypted by a library that is not followed: only OpenSSL and GnuTLS are, \
             where they move bytes by themselves. Their HTTP status is not known",
        )
    }

    /// Requests of more connections than there are places to wait at.
    pub(crate) fn waits() -> Self {
        Self::of(
            "waits",
            "more connections carry requests than are watched: of some it is not known that they wait, until they are answered or \
             given up",
        )
    }

    fn of(hook: &'static str, reason: &'static str) -> Self {
        Self {
            hook,
            reason,
            total: 0,
            remaining: 0,
        }
    }

    /// Takes the number of messages until now, once a second. Gives what there is to say when it changes.
    pub(crate) fn second(&mut self, total: u64) -> Option<Capability> {
        let is_more = total > std::mem::replace(&mut self.total, total);
        let before = self.remaining;
        self.remaining = if is_more {
            QUIET_SECONDS
        } else {
            before.saturating_sub(1)
        };
        ((before == 0) != (self.remaining == 0)).then(|| self.capability(is_more))
    }

    fn capability(&self, is_missing: bool) -> Capability {
        let (coverage, reason) = if is_missing {
            (Coverage::Degraded, self.reason.to_owned())
        } else {
            (Coverage::Full, String::new())
        };
        Capability {
            observer: "status".to_owned(),
            hook: self.hook.to_owned(),
            rung: "system_call".to_owned(),
            coverage,
            reason,
        }
    }
}

/// A library of TLS cannot be followed, for this reason.
pub(crate) fn tls_library(name: &str, reason: &str) -> Capability {
    Capability {
        observer: "status".to_owned(),
        hook: "tls_library".to_owned(),
        rung: String::new(),
        coverage: Coverage::Degraded,
        reason: format!(
            "{name} cannot be followed ({reason}): the HTTP status of what it encrypts is not known. Kernels from 6.16 on, and those \
             with their corrections, ask for CAP_SYS_ADMIN (node.extraCapabilities of the chart)"
        ),
    }
}

/// HTTP/2 is not followed at all.
pub(crate) fn without_http2() -> Capability {
    Capability {
        observer: "status".to_owned(),
        hook: "http2".to_owned(),
        rung: String::new(),
        coverage: Coverage::Degraded,
        reason: "HTTP/2, TLS, databases, routes and who waits are seen only where sock_send_length can be traced, from Linux 6.3 on"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(unread: &mut Unread, total: u64) -> Option<Coverage> {
        unread.second(total).map(|capability| capability.coverage)
    }

    #[test]
    fn what_cannot_be_read_is_said_once_and_its_end_a_minute_later() {
        let mut unread = Unread::http();
        assert_eq!(said(&mut unread, 0), None, "nothing is missing");
        assert_eq!(said(&mut unread, 3), Some(Coverage::Degraded));
        for second in 0..3 * u64::from(QUIET_SECONDS) {
            assert_eq!(said(&mut unread, 4 + second), None, "it goes on");
        }
        let last = 3 + 3 * u64::from(QUIET_SECONDS);
        for second in 1..QUIET_SECONDS {
            assert_eq!(said(&mut unread, last), None, "second {second}");
        }
        assert_eq!(said(&mut unread, last), Some(Coverage::Full));
        assert_eq!(said(&mut unread, last), None);
    }
}
