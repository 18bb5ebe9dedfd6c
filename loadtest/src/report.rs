//! Results for people: a table beside its targets, kept in a section of a Markdown file.

pub mod criterion;
pub(crate) mod machine;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::pipeline::Rate;
use crate::soak::Memory;

/// Events per second that a measurement must reach on two cores, by its name; the goal of the pipeline is 500,000.
const TARGETS: [(&str, f64); 3] = [
    ("pipeline", 200_000.0),
    ("correlate/healthy", 1_000_000.0),
    ("correlate/failing", 1_000_000.0),
];

/// Rates as a table, those of the bus in the same run last.
pub fn rates(primitives: &[criterion::Primitive], rates: &[Rate]) -> String {
    let mut text = machine::line();
    text.push_str(
        "\n| measured | events/s | target | CPU a million events |\n| --- | ---: | ---: | ---: |\n",
    );
    for primitive in primitives {
        row(&mut text, &primitive.name, primitive.events_per_second, "");
    }
    for rate in rates {
        let cpu = format!("{:.2} s", rate.cpu_seconds_per_million());
        row(&mut text, rate.what, rate.events_per_second, &cpu);
    }
    if let [raw, pipeline] = rates {
        let ratio = pipeline.events_per_second / raw.events_per_second;
        let _ = writeln!(text, "\npipeline : raw JetStream of the same bytes = {ratio:.3}");
    }
    text
}

/// Memory over time as a table.
pub fn memory(memory: &[Memory]) -> String {
    let mut text = machine::line();
    text.push_str("\n| process | start | middle | end | last half | flat |\n| --- | ---: | ---: | ---: | ---: | --- |\n");
    for Memory { process, judgement } in memory {
        let megabytes = |kilobytes: u64| format!("{}.{} MB", kilobytes / 1024, kilobytes % 1024 * 10 / 1024);
        let _ = writeln!(
            text,
            "| {process} | {} | {} | {} | ±{:.1} % | {} |",
            megabytes(judgement.start_kb),
            megabytes(judgement.middle_kb),
            megabytes(judgement.end_kb),
            judgement.range_percent,
            if judgement.flat { "yes" } else { "no" },
        );
    }
    text
}

fn row(text: &mut String, name: &str, events_per_second: f64, cpu: &str) {
    let target = TARGETS.iter().find(|(of, _)| *of == name);
    let target = target.map_or_else(String::new, |(_, least)| format!("≥ {least:.0}"));
    let _ = writeln!(text, "| {name} | {events_per_second:.0} | {target} | {cpu} |");
}

/// Puts `text` into the section of that name: between its two comments.
///
/// # Errors
/// When the file cannot be read or written, or has no such section.
pub fn record(file: &Path, section: &str, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Some(new) = replaced(&old, section, text) else {
        bail!("{} has no section {section}", file.display());
    };
    std::fs::write(file, new).with_context(|| format!("cannot write {}", file.display()))
}

fn replaced(old: &str, section: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- /{section} -->\n"));
    let (head, rest) = old.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{text}{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes_and_a_second_time_gives_the_same() {
        let old = "head\n<!-- a -->\nold\n<!-- /a -->\nmiddle\n<!-- b -->\nb\n<!-- /b -->\n";
        let new = replaced(old, "a", "new\n").unwrap();
        assert_eq!(new, old.replace("old\n", "new\n"));
        assert_eq!(replaced(&new, "a", "new\n").unwrap(), new);
        assert_eq!(replaced(old, "c", "new\n"), None);
    }
}
