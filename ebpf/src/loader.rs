//! Loads a family: its best variant, each hook on its best rung, and an account of the rest.

use std::error::Error as _;
use std::hash::{BuildHasher as _, RandomState};

use aya::maps::RingBuf;
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSock, FEntry, Program, ProgramError, RawTracePoint,
    TracePoint,
};
use aya::{Btf, Ebpf, EbpfLoader};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::loaded::{self, Loaded};
use crate::probes::{Family, Hook, Variant};
use crate::reader::Reader;
use crate::report::{HookReport, Refusal, Rung};
use crate::{cgroup, lockdown, rows, tracefs};

/// A refusal's reason is cut here; a verifier's log can be megabytes.
const REASON_CHARS: usize = 300;

/// What a verifier's log says after its verdict.
const NOISE: [&str; 4] = ["processed ", "verification time ", "stack depth ", "main "];

/// What a program cannot know by itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A process (in the root pid namespace) whose own traffic is not observed; 0: none.
    pub own_tgid: u32,
    /// Pending bytes at which the reader is woken; less waits for its timer. Urgent records wake at once.
    pub wakeup_bytes: u32,
    /// Size of the ring buffer, bytes: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// UNIX time of `CLOCK_MONOTONIC`'s zero, ns, by which seconds are told apart; see [`Loaded::set_epoch`].
    pub epoch_ns: u64,
    /// Processors for whose sums there is to be room: each has rows of its own.
    pub processors: u32,
    /// The rungs that may be used; all of them unless a lower one is to be tried.
    pub rungs: &'static [Rung],
}

impl Default for Settings {
    /// Ignores the calling process, wakes at 16 KiB, keeps 1 MiB (some 8,000 records), counts seconds since boot, on the
    /// processors that are online.
    fn default() -> Self {
        Self {
            own_tgid: std::process::id(),
            wakeup_bytes: 16 << 10,
            ring_bytes: 1 << 20,
            epoch_ns: 0,
            processors: rows::processors(),
            rungs: Rung::ALL,
        }
    }
}

/// Why a family cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without it relocation would silently be skipped and every number would be garbage.
    #[error("this kernel offers no BTF (/sys/kernel/btf/vmlinux)")]
    NoBtf(#[source] aya::BtfError),
    /// Built without a compiler for the programs.
    #[error("this build carries no programs (TAPIO_BPF=stub)")]
    Stub,
    /// The kernel or the parser refused the object or its maps.
    #[error("cannot load the {family:?} object")]
    Object {
        /// Which family.
        family: Family,
        /// Why.
        #[source]
        source: Box<aya::EbpfError>,
    },
    /// A map every object has is missing or unusable.
    #[error("cannot use the {name} map")]
    Map {
        /// Which map.
        name: &'static str,
        /// Why; `None`: it does not exist.
        #[source]
        source: Option<Box<aya::maps::MapError>>,
    },
    /// What the programs count cannot be read.
    #[error("cannot map the {name} map into memory")]
    Sums {
        /// Which map.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Attaches a family. A hook that cannot be attached is reported, never an error.
pub fn load(family: Family, settings: Settings) -> Result<Loaded, Error> {
    let btf = Btf::from_sys_fs().map_err(Error::NoBtf)?;
    if family
        .variants()
        .iter()
        .any(|variant| variant.object.bytes().is_empty())
    {
        return Err(Error::Stub);
    }
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    // best effort: kernels from 5.11 on charge maps to the cgroup instead
    let _ = setrlimit(Resource::Memlock, unlimited);
    let locked_down = lockdown::forbids_probing(&btf);
    load_best(family, settings, &btf, locked_down)
}

fn load_best(family: Family, settings: Settings, btf: &Btf, locked_down: bool) -> Result<Loaded, Error> {
    let mut reports: Vec<HookReport> = Vec::new();
    let mut best = None;
    for variant in family.variants() {
        let mut bpf = open(family, variant, settings, btf, locked_down)?;
        loaded::set_epoch(&mut bpf, settings.epoch_ns)?;
        for report in &mut reports {
            report.superseded = true;
            report.rung = None;
        }
        let own = attach_all(&mut bpf, variant, settings, btf, locked_down);
        let complete = !own.iter().any(HookReport::is_blind);
        reports.extend(own);
        best = Some(bpf);
        if complete {
            break;
        }
    }
    let mut bpf = best.ok_or(Error::Stub)?;
    let reader = reader(&mut bpf)?;
    Loaded::new(family, bpf, reader, reports, locked_down)
}

fn attach_all(
    bpf: &mut Ebpf,
    variant: &Variant,
    settings: Settings,
    btf: &Btf,
    locked_down: bool,
) -> Vec<HookReport> {
    let classic = |hook: &Hook| hook.rungs.iter().any(|(rung, _)| *rung == Rung::Tracepoint);
    let mut attach_each = || {
        variant
            .hooks
            .iter()
            .map(|hook| attach(bpf, hook, settings.rungs, btf))
            .collect()
    };
    // under lockdown tracefs is empty, and unmounting it has crashed kernels from 6.12 on: never touch it there
    if locked_down || !variant.hooks.iter().any(classic) {
        attach_each()
    } else {
        tracefs::within(attach_each)
    }
}

fn open(
    family: Family,
    variant: &Variant,
    settings: Settings,
    btf: &Btf,
    locked_down: bool,
) -> Result<Ebpf, Error> {
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let locked_down = u32::from(locked_down);
    let hash_seed = RandomState::new().hash_one(0);
    let table = rows::table_of(family, settings.processors);
    let last_row = table.map_or(0, |(_, rows)| rows - 1);
    let mut loader = EbpfLoader::new();
    if let Some((name, rows)) = table {
        loader.map_max_entries(name, rows);
    }
    loader
        .btf(Some(btf))
        .override_global("locked_down", &locked_down, true)
        .override_global("own_tgid", &settings.own_tgid, false)
        .override_global("wakeup_bytes", &settings.wakeup_bytes, true)
        .override_global("page_bytes", &page_bytes, false)
        .override_global("hash_seed", &hash_seed, false)
        .override_global("last_row", &last_row, table.is_some())
        .map_max_entries("records", settings.ring_bytes)
        .load(variant.object.bytes())
        .map_err(|source| Error::Object {
            family,
            source: Box::new(source),
        })
}

fn reader(bpf: &mut Ebpf) -> Result<Reader, Error> {
    let name = "records";
    let map = bpf.take_map(name).ok_or(Error::Map { name, source: None })?;
    let ring = RingBuf::try_from(map).map_err(|source| Error::Map {
        name,
        source: Some(Box::new(source)),
    })?;
    Ok(Reader::new(ring))
}

fn attach(bpf: &mut Ebpf, hook: &Hook, allowed: &[Rung], btf: &Btf) -> HookReport {
    let mut refused = Vec::new();
    let mut on = None;
    for &(rung, program) in hook.rungs {
        if !allowed.contains(&rung) {
            continue;
        }
        match attach_on(bpf, hook.name, rung, program, btf) {
            Ok(()) => {
                on = Some(rung);
                break;
            }
            Err(reason) => refused.push(Refusal { rung, reason }),
        }
    }
    HookReport {
        observer: hook.observer,
        hook: hook.name,
        need: hook.need,
        minimum: hook.minimum,
        rung: on,
        superseded: false,
        refused,
    }
}

fn attach_on(bpf: &mut Ebpf, hook: &str, rung: Rung, name: &str, btf: &Btf) -> Result<(), String> {
    let program = bpf
        .program_mut(name)
        .ok_or_else(|| format!("the object has no program {name}"))?;
    let attached = match rung {
        Rung::TpBtf => attach_btf(program, hook, btf),
        Rung::RawTp => attach_raw(program, hook),
        Rung::Tracepoint => attach_classic(program, hook),
        Rung::Fentry => attach_entry(program, hook, btf),
        Rung::CgroupSkb => attach_packets(program),
        Rung::CgroupSock => attach_sockets(program),
    };
    attached.map_err(|error| reason(&error))
}

fn attach_btf(program: &mut Program, hook: &str, btf: &Btf) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = program.try_into()?;
    program.load(hook, btf)?;
    program.attach().map(drop)
}

fn attach_raw(program: &mut Program, hook: &str) -> Result<(), ProgramError> {
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    program.attach(hook).map(drop)
}

fn attach_classic(program: &mut Program, hook: &str) -> Result<(), ProgramError> {
    let program: &mut TracePoint = program.try_into()?;
    program.load()?;
    program.attach("syscalls", hook).map(drop)
}

fn attach_entry(program: &mut Program, hook: &str, btf: &Btf) -> Result<(), ProgramError> {
    let program: &mut FEntry = program.try_into()?;
    program.load(hook, btf)?;
    program.attach().map(drop)
}

fn attach_packets(program: &mut Program) -> Result<(), ProgramError> {
    let program: &mut CgroupSkb = program.try_into()?;
    program.load()?;
    let direction = program
        .expected_attach_type()
        .ok_or(ProgramError::UnexpectedProgramType)?;
    // a link takes no flags, and stands beside those of others by itself
    program
        .attach(cgroup::root()?, direction, CgroupAttachMode::Single)
        .map(drop)
}

fn attach_sockets(program: &mut Program) -> Result<(), ProgramError> {
    let program: &mut CgroupSock = program.try_into()?;
    program.load()?;
    program
        .attach(cgroup::root()?, CgroupAttachMode::Single)
        .map(drop)
}

/// The error and its sources on one line; of a verifier's log, its end, which holds the verdict.
pub(crate) fn reason(error: &ProgramError) -> String {
    let mut parts = vec![brief(error)];
    let mut source = error.source();
    while let Some(next) = source {
        parts.push(next.to_string());
        source = next.source();
    }
    let line = parts.join(": ").replace(['\n', '\r'], " ");
    let skip = line.chars().count().saturating_sub(REASON_CHARS);
    line.chars().skip(skip).collect()
}

fn brief(error: &ProgramError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise)))
        .collect();
    let last = lines.len().saturating_sub(3);
    lines.get(last..).unwrap_or_default().join(" ")
}
