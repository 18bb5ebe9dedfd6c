//! Attaches everything, provokes one fault per observer and checks what is delivered: attached is not delivered.
//! One line per hook and per observer, made for `deploy/lab/kernel-matrix`; exits 1 when something expected is missing.
#![expect(clippy::print_stdout, reason = "the report is the program's output")]

mod faults;
mod verdict;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ebpf::raw::Record;
use ebpf::{Family, Loaded, Need, Rung, Settings, load};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::verdict::{Delivered, Verdict};

/// With `--low`: what is left when the best rung is out of reach.
const LOW: &[Rung] = &[Rung::RawTp, Rung::Tracepoint];

/// How long a fault's record is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("exit") => return ExitCode::from(7),
        Some("wait") => return faults::wait_for_ever(),
        Some("hog") => return faults::hog(arguments.next().as_deref()),
        Some(_) | None => (),
    }
    let rungs = if std::env::args().any(|argument| argument == "--low") {
        LOW
    } else {
        Rung::ALL
    };
    let results: Vec<_> = Family::ALL
        .into_iter()
        .map(|family| check(family, rungs))
        .collect();
    let bad = results.iter().filter(|good| !**good).count();
    println!("MATRIX {}", if bad == 0 { "pass" } else { "FAIL" });
    ExitCode::from(u8::from(bad > 0))
}

/// Whether every hook that is needed has one of these rungs.
fn has_rung(family: Family, rungs: &[Rung]) -> bool {
    let mut needed = family
        .variants()
        .iter()
        .flat_map(|variant| variant.hooks)
        .filter(|hook| hook.need == Need::Required);
    needed.any(|hook| hook.rungs.iter().any(|(rung, _)| rungs.contains(rung)))
}

fn check(family: Family, rungs: &'static [Rung]) -> bool {
    if !has_rung(family, rungs) {
        println!("FAMILY {family:?} has none of these rungs");
        return true;
    }
    let settings = Settings {
        own_tgid: 0,
        rungs,
        ..Settings::default()
    };
    let mut loaded = match load(family, settings) {
        Ok(loaded) => loaded,
        Err(error) => {
            println!("FAMILY {family:?} not loaded: {error}: {:?}", error.source());
            return false;
        }
    };
    let mut verdict = Verdict::new(&loaded);
    verdict::print_hooks(&loaded);
    for fault in faults::of(family) {
        let outcome = provoke(&mut loaded, fault);
        verdict.judge(fault.observer, fault.name, outcome);
    }
    println!("LOSSES {family:?} {:?}", loaded.losses().unwrap_or_default());
    verdict.is_good()
}

#[expect(clippy::disallowed_methods, reason = "it waits for a real kernel")]
fn provoke(loaded: &mut Loaded, fault: &faults::Fault) -> Delivered {
    let expected = match (fault.provoke)() {
        Ok(expected) => expected,
        Err(error) => return Delivered::Unprovoked(error.to_string()),
    };
    let (mut seen, began) = (0, Instant::now());
    while began.elapsed() < PATIENCE {
        let mut found = None;
        let Some(reader) = loaded.reader() else {
            return Delivered::No(seen);
        };
        reader.drain(|_, bytes| {
            seen += 1;
            if let Ok(record) = Record::parse(bytes) {
                found = found.take().or_else(|| (fault.matches)(&record, &expected));
            }
        });
        if let Some(detail) = found {
            return Delivered::Yes(detail);
        }
        let mut descriptors = [PollFd::new(reader, PollFlags::IN)];
        if poll(
            &mut descriptors,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            }),
        )
        .is_err()
        {
            return Delivered::No(seen);
        }
    }
    Delivered::No(seen)
}
