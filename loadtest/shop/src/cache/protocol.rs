//! The cache's text protocol: lines that end in CR LF, values that follow their length.

/// The longest command line, line end included.
pub const MAX_LINE: usize = 512;
/// The longest key.
pub const MAX_KEY: usize = 250;
/// The longest value.
pub const MAX_VALUE: usize = 1 << 20;

/// What a client asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `GET key`
    Get(&'a [u8]),
    /// `SET key length`; the value and a line end follow.
    Set(&'a [u8], usize),
    /// `PING`
    Ping,
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The line is too long or does not end in CR LF.
    #[error("line without end")]
    Line,
    /// The first word is no command, or it has too many or too few words after it.
    #[error("unknown command")]
    Unknown,
    /// The key is empty or too long.
    #[error("bad key")]
    Key,
    /// The length is no number or too large.
    #[error("bad length")]
    Length,
    /// The value is not followed by CR LF.
    #[error("value without end")]
    Value,
}

/// Reads one line, line end included.
pub fn parse(line: &[u8]) -> Result<Command<'_>, Error> {
    let line = line.strip_suffix(b"\r\n").ok_or(Error::Line)?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    match words.as_slice() {
        [b"GET", key] => Ok(Command::Get(checked(key)?)),
        [b"SET", key, length] => Ok(Command::Set(checked(key)?, parse_length(length)?)),
        [b"PING"] => Ok(Command::Ping),
        _ => Err(Error::Unknown),
    }
}

/// A length of at most [`MAX_VALUE`] as the protocol writes it.
pub fn parse_length(word: &[u8]) -> Result<usize, Error> {
    let length: usize = std::str::from_utf8(word)
        .ok()
        .and_then(|word| word.parse().ok())
        .ok_or(Error::Length)?;
    if length > MAX_VALUE {
        Err(Error::Length)
    } else {
        Ok(length)
    }
}

fn checked(key: &[u8]) -> Result<&[u8], Error> {
    if key.is_empty() || key.len() > MAX_KEY {
        Err(Error::Key)
    } else {
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read() {
        assert_eq!(parse(b"GET item:1\r\n"), Ok(Command::Get(b"item:1")));
        assert_eq!(parse(b"SET a 3\r\n"), Ok(Command::Set(b"a", 3)));
        assert_eq!(parse(b"PING\r\n"), Ok(Command::Ping));
    }

    #[test]
    fn what_is_no_command_is_refused_with_its_reason() {
        assert_eq!(parse(b"GET a"), Err(Error::Line));
        assert_eq!(parse(b"get a\r\n"), Err(Error::Unknown));
        assert_eq!(parse(b"GET a b\r\n"), Err(Error::Unknown));
        assert_eq!(parse(b"GET \r\n"), Err(Error::Key));
        assert_eq!(
            parse(format!("GET {}\r\n", "k".repeat(251)).as_bytes()),
            Err(Error::Key)
        );
        assert_eq!(parse(b"SET a -1\r\n"), Err(Error::Length));
        assert_eq!(parse(b"SET a 1048577\r\n"), Err(Error::Length));
    }
}
