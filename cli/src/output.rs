//! The only place that writes to the terminal. Colours only where one is.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// Names of hosts, states, things to look at.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// One line, or several, on stdout.
pub(crate) fn say(line: impl Display) {
    anstream::println!("{line}");
}

/// One line on stderr: what goes on, apart from the result.
pub(crate) fn note(line: impl Display) {
    anstream::eprintln!("{line}");
}

/// `text` in a style; the terminal's absence takes the style away again.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
