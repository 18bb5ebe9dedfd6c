//! Pieces of messages.

/// What stands between two texts, or after the first when the second is empty.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    if after.is_empty() {
        return Some(rest);
    }
    rest.split_once(after).map(|(found, _)| found)
}

/// The first text in quotation marks after `before`.
pub(super) fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    let (_, rest) = rest.split_once('"')?;
    // Messages inside messages have their quotation marks escaped.
    rest.split_once('"')
        .map(|(found, _)| found.trim_end_matches('\\'))
}

pub(super) fn has_any(text: &str, of: &[&str]) -> bool {
    of.iter().any(|part| text.contains(part))
}
