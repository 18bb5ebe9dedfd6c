//! What a message to or from a name server says, as far as its beginning tells.

use domain::base::iana::{Opcode, Rcode};
use domain::base::{Message, Rtype};

/// What was asked, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// In lower case and without a dot at its end; what is no letter, digit or hyphen is escaped as in a zone file.
    pub(super) name: String,
    /// `A`, `AAAA`, `SRV`.
    pub(super) record_type: String,
    /// Response code, without its extension.
    pub(super) code: u8,
    /// The answer was too long for its datagram.
    pub(super) is_truncated: bool,
}

/// There is no such name.
pub(super) const NAME_UNKNOWN: u8 = Rcode::NXDOMAIN.to_int();
/// The server could not find out.
pub(super) const SERVER_FAILED: u8 = Rcode::SERVFAIL.to_int();
/// The server does not want to say.
pub(super) const REFUSED: u8 = Rcode::REFUSED.to_int();

/// Reads a message of which `bytes` are the beginning: as long as they hold its question. `None` for one that is malformed, or
/// that is about something else than one name.
pub(super) fn read(bytes: &[u8]) -> Option<Told> {
    let message = Message::from_octets(bytes).ok()?;
    let header = message.header();
    if header.opcode() != Opcode::QUERY {
        return None;
    }
    let question = message.first_question()?;
    let name = question.qname().to_string().to_ascii_lowercase();
    Some(Told {
        name: name.trim_end_matches('.').to_owned(),
        record_type: record_type(question.qtype()),
        code: header.rcode().to_int(),
        is_truncated: header.tc(),
    })
}

/// As it is written in a zone file.
fn record_type(number: Rtype) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: [u8; 2], question: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 7];
        bytes.extend(flags);
        bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend(question);
        bytes
    }

    const API: &[u8] = b"\x03API\x04Shop\x00\x00\x1c\x00\x01";

    #[test]
    fn name_type_and_code_are_told() {
        let told = read(&message([0x81, 0x83], API)).unwrap();
        assert_eq!(
            (told.name.as_str(), told.record_type.as_str()),
            ("api.shop", "AAAA")
        );
        assert_eq!((told.code, told.is_truncated), (NAME_UNKNOWN, false));
        assert!(read(&message([0x83, 0x80], API)).unwrap().is_truncated);
        let root = read(&message([0x81, 0x80], b"\x00\x00\x02\x00\x01")).unwrap();
        assert_eq!((root.name.as_str(), root.record_type.as_str()), ("", "NS"));
    }

    #[test]
    fn what_is_cut_off_or_points_to_itself_or_asks_nothing_is_malformed() {
        let whole = message([0x81, 0x80], API);
        for end in 0..whole.len() {
            assert_eq!(read(whole.get(..end).unwrap()), None, "{end}");
        }
        assert_eq!(
            read(&message([0x81, 0x80], b"\xc0\x0c\x00\x01\x00\x01")),
            None,
            "a loop"
        );
        assert_eq!(read(&message([0xa9, 0x80], API)), None, "an update");
        let mut nothing = whole;
        nothing[5] = 0;
        assert_eq!(read(&nothing), None);
    }

    #[test]
    fn whatever_comes_is_a_message_or_malformed() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Some(told) = read(bytes) {
                assert!(told.name.is_ascii(), "{}", told.name);
                assert!(told.name.len() <= 4 * 255, "each byte escaped: {}", told.name);
            }
        });
    }

    #[test]
    fn names_of_any_bytes_are_text() {
        let told = read(&message([0x81, 0x80], b"\x04a\x00\xff.\x00\x00\x01\x00\x01")).unwrap();
        assert!(told.name.is_ascii(), "{}", told.name);
    }
}
