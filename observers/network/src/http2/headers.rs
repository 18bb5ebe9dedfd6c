//! What a block of headers says of an exchange.

use bus_schema::TraceContext;
use bus_schema::event::status::GrpcStatus;

use super::hpack::{Decoder, Error, Name};

/// By what its requests say of themselves, kubelet or a load balancer tests a server; `bpf/health_check.bpf.h` has the same.
const CHECKERS: [&[u8]; 4] = [b"kube-pro", b"ELB-Heal", b"GoogleHC", b"Consul H"];
/// The service by which gRPC servers are tested.
const HEALTH: &str = "grpc.health.v1.Health/";
const GRPC: &[u8] = b"application/grpc";
/// Digits of a timeout (gRPC over HTTP/2, "Requests").
const MOST_DIGITS: usize = 8;

/// The headers that are looked at. Those that are not there, or not as they should be, are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// Without its first slash and its query.
    pub(super) path: String,
    pub(super) status: Option<u16>,
    /// The body is one of gRPC.
    pub(super) is_grpc: bool,
    pub(super) grpc: Option<GrpcStatus>,
    pub(super) timeout_ns: Option<u64>,
    pub(super) trace: Option<TraceContext>,
    is_by_checker: bool,
}

impl Headers {
    /// Reads a whole block.
    pub(super) fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Self, Error> {
        let mut headers = Self::default();
        decoder.decode(block, |name, value| headers.take(name, value))?;
        Ok(headers)
    }

    /// Whether it asks how the server is, and nothing else.
    pub(super) fn is_health_check(&self) -> bool {
        self.is_by_checker || self.path.starts_with(HEALTH)
    }

    fn take(&mut self, name: Name, value: &[u8]) {
        match name {
            Name::Path => self.path = path(value),
            Name::Status => self.status = number(value),
            Name::ContentType => self.is_grpc = value.starts_with(GRPC),
            Name::GrpcStatus => {
                self.grpc = Some(number(value).map_or(GrpcStatus::Unknown, GrpcStatus::from_number));
            }
            Name::GrpcTimeout => self.timeout_ns = timeout(value),
            Name::UserAgent => {
                self.is_by_checker = CHECKERS.iter().any(|checker| value.starts_with(checker));
            }
            Name::TraceParent => self.trace = TraceContext::of_header(value),
            Name::Other => {}
        }
    }
}

fn path(value: &[u8]) -> String {
    let path = value.split(|byte| *byte == b'?' || *byte == b'#').next();
    let text = String::from_utf8_lossy(path.unwrap_or_default());
    text.strip_prefix('/').unwrap_or(&text).to_owned()
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Digits and a unit.
fn timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > MOST_DIGITS {
        return None;
    }
    let unit_ns = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    number::<u64>(digits)?.checked_mul(unit_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_path_neither_query_nor_fragment_is_kept() {
        assert_eq!(path(b"/shop.Cart/Add"), "shop.Cart/Add");
        assert_eq!(path(b"/a?token=1#b"), "a");
        assert_eq!(path(b"/a#b?c"), "a");
        assert_eq!(path(b""), "");
        assert_eq!(path(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn timeouts_have_a_unit() {
        assert_eq!(timeout(b"500m"), Some(500_000_000));
        assert_eq!(timeout(b"99999999H"), None, "more than there is");
        assert_eq!(timeout(b"1S"), Some(1_000_000_000));
        for bad in [&b"S"[..], b"", b"1", b"1x", b"123456789S", b"-1S"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_status_that_is_no_number_is_unknown_and_what_is_missing_is_none() {
        let mut headers = Headers::default();
        assert_eq!(headers.grpc, None);
        headers.take(Name::GrpcStatus, b"fourteen");
        assert_eq!(headers.grpc, Some(GrpcStatus::Unknown));
        headers.take(Name::GrpcStatus, b"14");
        assert_eq!(headers.grpc, Some(GrpcStatus::Unavailable));
    }

    #[test]
    fn those_who_test_servers_say_so() {
        let mut headers = Headers::default();
        headers.take(Name::Path, b"/shop.Cart/Add");
        headers.take(Name::UserAgent, b"grpc-go/1.60");
        assert!(!headers.is_health_check());
        headers.take(Name::UserAgent, b"kube-probe/1.34 grpc-go/1.60");
        assert!(headers.is_health_check());
        headers.take(Name::UserAgent, b"grpc-go/1.60");
        headers.take(Name::Path, b"/grpc.health.v1.Health/Check");
        assert!(headers.is_health_check());
    }
}
