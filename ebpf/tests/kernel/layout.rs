//! Every mirror against the BTF of the objects: size and offset of each field. Needs neither root nor a kernel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use ebpf::Family;
use ebpf::raw::{
    Asker, Cgroup, Clock, ConnectFailed, DnsAnswer, DropKey, Drops, Edge, Exec, Exit, Field, Head, Http,
    Http2Begin, Http2End, Http2Frame, HttpError, Layout, Listen, Listener, OomKill, Question, QuestionKey,
    Route, Signal, SumKey, Task, Tls,
};
use object::{Object as _, ObjectSection as _, SectionKind};

/// A C struct: its size and the offsets of its members, by name and in order.
#[derive(Debug, PartialEq)]
struct Described {
    size: usize,
    members: Vec<(String, usize)>,
}

const HEADER_BYTES: usize = 24;
const STRUCT: u32 = 4;

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Bytes that follow a type's three words, by its kind and count.
fn tail(kind: u32, count: usize) -> usize {
    match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        _ => 0,
    }
}

fn name(strings: &[u8], at: usize) -> String {
    ebpf::raw::text(&strings[at..]).into_owned()
}

fn structs_of(btf: &[u8]) -> HashMap<String, Described> {
    let types = &btf[HEADER_BYTES + word(btf, 8)..][..word(btf, 12)];
    let strings = &btf[HEADER_BYTES + word(btf, 16)..];
    let (mut structs, mut at) = (HashMap::new(), 0);
    while at < types.len() {
        let info = u32::try_from(word(types, at + 4)).unwrap();
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let member = |index: usize| at + 12 + 12 * index;
        if kind == STRUCT {
            let describe = |index| {
                (
                    name(strings, word(types, member(index))),
                    word(types, member(index) + 8) / 8,
                )
            };
            let members = (0..count).map(describe).collect();
            structs.insert(
                name(strings, word(types, at)),
                Described {
                    size: word(types, at + 8),
                    members,
                },
            );
        }
        at += 12 + tail(kind, count);
    }
    structs
}

fn described() -> HashMap<String, Described> {
    let mut all = HashMap::new();
    for variant in Family::ALL.into_iter().flat_map(Family::variants) {
        let elf = object::File::parse(variant.object.bytes()).unwrap();
        all.extend(structs_of(elf.section_by_name(".BTF").unwrap().data().unwrap()));
    }
    all
}

fn check<T: Layout>(all: &HashMap<String, Described>) {
    let c = all
        .get(T::NAME)
        .unwrap_or_else(|| panic!("{} is not in the objects' BTF", T::NAME));
    assert_eq!(size_of::<T>(), c.size, "{}", T::NAME);
    let ends = c
        .members
        .iter()
        .skip(1)
        .map(|(_, offset)| *offset)
        .chain([c.size]);
    let with_end = c.members.iter().zip(ends);
    let expected: Vec<_> = with_end
        .map(|((name, offset), end)| (name.as_str(), *offset, end - offset))
        .collect();
    let mirror = |field: &Field| (field.name, field.offset, field.size);
    assert_eq!(
        T::FIELDS.iter().map(mirror).collect::<Vec<_>>(),
        expected,
        "{}",
        T::NAME
    );
}

#[test]
#[cfg_attr(tapio_bpf_stub, ignore = "built with TAPIO_BPF=stub")]
fn every_mirror_has_the_offsets_of_its_c_struct() {
    let all = described();
    check::<Head>(&all);
    check::<Task>(&all);
    check::<ConnectFailed>(&all);
    check::<Listen>(&all);
    check::<Edge>(&all);
    check::<Listener>(&all);
    check::<Clock>(&all);
    check::<Route>(&all);
    check::<HttpError>(&all);
    check::<SumKey>(&all);
    check::<Http>(&all);
    check::<Exec>(&all);
    check::<Exit>(&all);
    check::<Signal>(&all);
    check::<OomKill>(&all);
    check::<Cgroup>(&all);
    check::<Question>(&all);
    check::<QuestionKey>(&all);
    check::<Asker>(&all);
    check::<DnsAnswer>(&all);
    check::<Http2Begin>(&all);
    check::<Http2Frame>(&all);
    check::<Http2End>(&all);
    check::<Tls>(&all);
    check::<DropKey>(&all);
    check::<Drops>(&all);
}

/// Sections with programs, and what is told of each kind of record, in an object.
fn contents(bytes: &[u8]) -> (BTreeSet<String>, BTreeMap<String, Described>) {
    let elf = object::File::parse(bytes).unwrap();
    let programs = elf
        .sections()
        .filter(|section| section.kind() == SectionKind::Text);
    let names = programs
        .map(|section| section.name().unwrap().to_owned())
        .collect();
    let mut structs = structs_of(elf.section_by_name(".BTF").unwrap().data().unwrap());
    // the registers of a system call are each architecture's own
    structs.remove("pt_regs");
    (names, structs.into_iter().collect())
}

#[test]
#[cfg_attr(tapio_bpf_stub, ignore = "built with TAPIO_BPF=stub")]
fn the_other_architecture_has_the_same_programs_and_records() {
    let folder = Path::new(env!("OUT_DIR"));
    let mut compared = 0;
    for entry in std::fs::read_dir(folder.join("foreign")).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        let (native, foreign) = (read(folder), read(&folder.join("foreign")));
        assert_eq!(contents(&native), contents(&foreign), "{name:?}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}
