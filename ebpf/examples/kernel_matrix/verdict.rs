//! What was expected of this kernel, and whether it came.

use ebpf::Loaded;

/// What became of a fault.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Its record came.
    Yes(String),
    /// It did not; so many others did.
    No(usize),
    /// The fault itself could not be made.
    Unprovoked(String),
}

/// Collects one family's results.
#[derive(Debug)]
pub(crate) struct Verdict {
    good: bool,
}

impl Verdict {
    /// No kernel is asked for what came after it.
    pub(crate) fn new(loaded: &Loaded) -> Self {
        let kernel = kernel();
        let mut expected = loaded.reports().iter().filter(|report| report.minimum <= kernel);
        Self {
            good: !expected.any(ebpf::HookReport::is_blind),
        }
    }

    pub(crate) fn judge(&mut self, observer: &str, fault: &str, outcome: Delivered) {
        match outcome {
            Delivered::Yes(detail) => println!("DELIVERED {observer} {fault} yes {detail}"),
            Delivered::No(others) => {
                self.good = false;
                println!("DELIVERED {observer} {fault} NO ({others} other records)");
            }
            Delivered::Unprovoked(error) => {
                self.good = false;
                println!("DELIVERED {observer} {fault} UNPROVOKED {error}");
            }
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.good
    }
}

/// Which kernel this is (major, minor); one that has everything where that cannot be read.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map_while(|number| number.parse().ok());
    (
        numbers.next().unwrap_or(u32::MAX),
        numbers.next().unwrap_or(u32::MAX),
    )
}

/// One line per hook.
pub(crate) fn print_hooks(loaded: &Loaded) {
    for report in loaded.reports() {
        let missing = if report.superseded { "superseded" } else { "-" };
        let rung = report
            .rung
            .map_or_else(|| missing.to_owned(), |rung| rung.to_string());
        let refused: Vec<_> = report
            .refused
            .iter()
            .map(|refusal| format!("{}: {}", refusal.rung, refusal.reason))
            .collect();
        println!(
            "HOOK {} {} {rung} {}",
            report.observer,
            report.hook,
            refused.join(" | ")
        );
    }
    println!("LOCKED {:?} {}", loaded.family(), loaded.is_locked_down());
}
