//! Names as systemd writes them into the names of units.

/// The name that was escaped: `-` stands for `/`, except in names that are no paths, and `\x2d` for `-`.
pub(super) fn unescaped(text: &str) -> String {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let code = match (first, after) {
            (b'\\', [b'x', high, low, beyond @ ..]) => hex(*high, *low).map(|code| (code, beyond)),
            _ => None,
        };
        match code {
            Some((code, beyond)) => {
                name.push(code);
                rest = beyond;
            }
            None => name.push(*first),
        }
    }
    String::from_utf8_lossy(&name).into_owned()
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_what_is_none_stays() {
        assert_eq!(unescaped(r"qemu\x2d1\x2dweb"), "qemu-1-web");
        assert_eq!(unescaped(r"caf\xc3\xa9"), "café");
        assert_eq!(unescaped(r"web-1"), "web-1");
        assert_eq!(unescaped(r"a\x2"), r"a\x2");
        assert_eq!(unescaped(r"a\xzz\"), r"a\xzz\");
    }
}
