//! The only place that writes to the terminal. Colours only where one is.

use std::fmt::Display;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};

/// Names of hosts, states, things to look at.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// One line, or several, on stdout. The result of a command that ends anyway: if nobody reads it, nobody misses it.
pub(crate) fn say(line: impl Display) {
    let _ = try_say(line);
}

/// One line, or several, on stdout; fails when nobody reads it any more, as after `| head`.
pub(crate) fn try_say(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}")
}

/// One line on stderr: what goes on, apart from the result.
pub(crate) fn note(line: impl Display) {
    anstream::eprintln!("{line}");
}

/// `text` in a style; the terminal's absence takes the style away again.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
