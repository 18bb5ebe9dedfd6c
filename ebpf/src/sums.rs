//! Rows in which programs count, mapped into this process: `bpf/sums.h` and `bpf/rows.bpf.h` are the other side.
#![expect(
    unsafe_code,
    reason = "memory that the kernel writes is seen through atomics only"
)]

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{Map, MapData};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::loader::Error;
use crate::raw::{Layout, SumKey};

const FREE: u64 = 0;
/// Set in an owner that has written its key.
const OWNED: u64 = 2;
const WORD: usize = size_of::<u64>();
const KEY_WORDS: usize = size_of::<SumKey>() / WORD;

/// A table of sums `V` per [`SumKey`].
#[derive(Debug)]
pub(crate) struct Sums<V> {
    table: Mapped,
    of: PhantomData<fn() -> V>,
}

impl<V: Layout> Sums<V> {
    /// Owner, key, sums.
    const ROW_WORDS: usize = 1 + KEY_WORDS + size_of::<V>() / WORD;

    /// Maps an array of rows, made with `BPF_F_MMAPABLE`.
    pub(crate) fn map(name: &'static str, map: &Map) -> Result<Self, Error> {
        Ok(Self {
            table: Mapped::new(name, map, Self::ROW_WORDS)?,
            of: PhantomData,
        })
    }

    /// Takes the sums of all seconds but the running one, or of all. A key comes once for each processor that counted.
    pub(crate) fn take(&mut self, running: Option<u32>) -> Vec<(SumKey, V)> {
        self.table
            .rows()
            .filter_map(|row| take_row(row, running))
            .collect()
    }
}

/// Exchanges that are under way, in `bpf/waits.bpf.h`.
#[derive(Debug)]
pub(crate) struct Waits(Mapped);

impl Waits {
    /// Owner, since when, key.
    const ROW_WORDS: usize = 2 + KEY_WORDS;

    pub(crate) fn map(name: &'static str, map: &Map) -> Result<Self, Error> {
        Mapped::new(name, map, Self::ROW_WORDS).map(Self)
    }

    /// Who waits, and since when (`CLOCK_MONOTONIC`, ns). Where most places are taken, those are taken back at which nobody waits;
    /// and the ones since `forget_before_ns`, whose connections were forgotten themselves.
    pub(crate) fn all(&mut self, forget_before_ns: u64) -> Vec<(SumKey, u64)> {
        let taken = self.0.rows().filter(|row| is_owned(row)).count();
        let is_full = taken > self.0.rows().count() / 2;
        let mut waiting = Vec::new();
        for row in self.0.rows().filter(|row| is_owned(row)) {
            let [owner, since, key @ ..] = row else { continue };
            let since_ns = since.load(Ordering::Relaxed);
            if since_ns < forget_before_ns && (since_ns != 0 || is_full) {
                owner.store(FREE, Ordering::Release);
            } else if since_ns != 0
                && let Some(key) = read(key, |word| word.load(Ordering::Relaxed))
            {
                waiting.push((key, since_ns));
            }
        }
        waiting
    }
}

fn is_owned(row: &[AtomicU64]) -> bool {
    let owner = row.first();
    owner.is_some_and(|owner| owner.load(Ordering::Acquire) & OWNED != 0)
}

/// Rows of words that the kernel writes too.
#[derive(Debug)]
struct Mapped {
    at: NonNull<AtomicU64>,
    words: usize,
    row_words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and its words are atomics.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(name: &'static str, map: &Map, row_words: usize) -> Result<Self, Error> {
        let unusable = |source| Error::Sums { name, source };
        let Map::Array(array) = map else {
            return Err(Error::Map { name, source: None });
        };
        let words = words_of(name, array, row_words)?;
        // SAFETY: a new mapping at an address of the kernel's choice, which refuses one larger than the array.
        let at = unsafe {
            mmap(
                ptr::null_mut(),
                words * WORD,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                array.fd(),
                0,
            )
        };
        let at = at.map_err(|errno| unusable(errno.into()))?;
        let at =
            NonNull::new(at.cast()).ok_or_else(|| unusable(std::io::ErrorKind::AddrNotAvailable.into()))?;
        Ok(Self { at, words, row_words })
    }

    fn rows(&self) -> impl Iterator<Item = &[AtomicU64]> {
        // SAFETY: the mapping is page-aligned, this long, lives as long as self, and any bits are a valid word.
        let words = unsafe { slice::from_raw_parts(self.at.as_ptr(), self.words) };
        words.chunks_exact(self.row_words)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`, and no reference into it outlives self.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.words * WORD) };
    }
}

/// All words of the array, if its rows are as long as ours.
fn words_of(name: &'static str, array: &MapData, row_words: usize) -> Result<usize, Error> {
    let info = array.info().map_err(|source| Error::Map {
        name,
        source: Some(Box::new(source)),
    })?;
    if info.value_size() as usize != row_words * WORD {
        return Err(Error::Map { name, source: None });
    }
    Ok(info.max_entries() as usize * row_words)
}

fn take_row<V: Layout>(row: &[AtomicU64], running: Option<u32>) -> Option<(SumKey, V)> {
    let (owner, words) = row.split_first()?;
    if owner.load(Ordering::Acquire) & OWNED == 0 {
        return None;
    }
    let (key, sums) = words.split_at_checked(KEY_WORDS)?;
    let key: SumKey = read(key, |word| word.load(Ordering::Relaxed))?;
    if Some(key.second) == running {
        return None;
    }
    let sums = read(sums, |word| word.swap(0, Ordering::Relaxed))?;
    owner.store(FREE, Ordering::Release);
    Some((key, sums))
}

/// A mirror out of as many words as it has.
fn read<T: Layout>(words: &[AtomicU64], value: impl Fn(&AtomicU64) -> u64) -> Option<T> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| value(word).to_ne_bytes()).collect();
    T::parse(&bytes).ok()
}
