//! Which trace of its users' own a request belongs to.

use serde::{Deserialize, Serialize};

/// The ids of a `traceparent` header (W3C Trace Context, 3.2), as they are written there: lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceContext {
    /// Of the trace, 32 digits.
    pub trace_id: String,
    /// Of the span of whoever asked, 16 digits.
    pub span_id: String,
}

impl TraceContext {
    /// Reads the value of a header, `00-<trace id>-<span id>-<flags>`; `None` where it is none, or its ids are zero. What follows
    /// the flags is not looked at, as the recommendation asks for later versions.
    pub fn of_header(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value.get(..55)?).ok()?;
        let mut parts = text.split('-');
        let [version, trace_id, span_id, flags] =
            [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let is_whole = is_hexadecimal(version, 2)
            && version != "ff"
            && is_hexadecimal(flags, 2)
            && parts.next().is_none();
        let is_id = |id: &str, digits| is_hexadecimal(id, digits) && id.contains(|digit| digit != '0');
        (is_whole && is_id(trace_id, 32) && is_id(span_id, 16)).then(|| Self {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
        })
    }
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the recommendation.
    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_ids_of_a_header_are_read_and_what_is_no_header_is_none() {
        let expected = TraceContext {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            span_id: "00f067aa0ba902b7".into(),
        };
        let of = |text: &str| TraceContext::of_header(text.as_bytes());
        assert_eq!(of(HEADER), Some(expected.clone()));
        assert_eq!(of(&format!("{HEADER}\r\nHost: a")), Some(expected.clone()));
        assert_eq!(
            of(&HEADER.replacen("00", "01", 1)),
            Some(expected),
            "a later version"
        );
        let bad = [
            String::new(),
            HEADER[..54].to_owned(),
            HEADER.replace("4bf9", "4BF9"),
            HEADER.replace("4bf9", "4bg9"),
            HEADER.replacen("00", "ff", 1),
            HEADER.replace('-', "0"),
            HEADER.replace("00f067aa0ba902b7", "0000000000000000"),
            HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            format!("é{HEADER}"),
        ];
        for text in bad {
            assert_eq!(of(&text), None, "{text}");
        }
    }

    #[test]
    fn whatever_a_request_says_only_ids_leave_the_node() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Some(TraceContext { trace_id, span_id }) = TraceContext::of_header(bytes) {
                assert!(is_hexadecimal(&trace_id, 32) && is_hexadecimal(&span_id, 16));
            }
        });
    }
}
