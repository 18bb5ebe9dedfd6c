//! Attaches every family and prints which rung each hook is on.
#![expect(clippy::print_stdout, reason = "a report for a person")]

use ebpf::{Family, Settings, load};

fn main() {
    for family in Family::ALL {
        let loaded = match load(family, Settings::default()) {
            Ok(loaded) => loaded,
            Err(error) => {
                println!("{family:?}: {error}: {:?}", std::error::Error::source(&error));
                continue;
            }
        };
        for report in loaded.reports() {
            let rung = report
                .rung
                .map_or_else(|| "-".to_owned(), |rung| rung.to_string());
            println!(
                "{:18} {:22} {rung:11} {:?}",
                report.observer, report.hook, report.refused
            );
        }
    }
}
