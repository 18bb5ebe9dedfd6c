//! A bounded queue on disk: what could not be sent, oldest first.
//!
//! Segment files of records, each with its length and checksum. Nothing is synced: the queue survives the process, not the
//! power. A damaged end is where the last run was killed; everything before it counts.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A segment is closed when it has grown to this; dropping the oldest frees as much.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Length and checksum.
const RECORD_HEADER: usize = 8;
/// No record is longer; a length beyond it is damage.
const MOST_RECORD_BYTES: u32 = 4 * 1024 * 1024;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    records: u64,
}

/// The queue in one folder.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    most_bytes: u64,
    /// Oldest first; the last is written to.
    segments: VecDeque<Segment>,
    next_number: u64,
    writer: Option<File>,
    /// Where the oldest segment is read.
    read_offset: u64,
    front: Option<Vec<u8>>,
}

/// What an append cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Records that made room because the queue was full.
    pub full: u64,
    /// Records that made room because the disk was, or could not be written at all.
    pub disk: u64,
}

impl Spool {
    /// Opens the queue in `folder`, with what an earlier run left there. It holds at most `most_bytes`.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
        paths.sort();
        let next_number = paths
            .last()
            .and_then(|path| number_of(path))
            .map_or(0, |number| number + 1);
        let segments = paths.into_iter().filter_map(recover).collect();
        Ok(Self {
            folder: folder.to_owned(),
            most_bytes,
            segments,
            next_number,
            writer: None,
            read_offset: 0,
            front: None,
        })
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.records == 0)
    }

    /// Records that wait.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// Appends a record, dropping the oldest segments while the queue or the disk is full.
    pub fn append(&mut self, record: &[u8]) -> Dropped {
        let mut dropped = Dropped::default();
        let bytes = (record.len() + RECORD_HEADER) as u64;
        while self.bytes() + bytes > self.most_bytes && !self.segments.is_empty() {
            dropped.full += self.drop_oldest();
        }
        loop {
            match self.write(record) {
                Ok(()) => return dropped,
                Err(error) if error.kind() == ErrorKind::StorageFull && !self.segments.is_empty() => {
                    self.writer = None;
                    dropped.disk += self.drop_oldest();
                }
                Err(error) => {
                    tracing::warn!(error = %error, folder = %self.folder.display(), "spool cannot be written, event batch dropped");
                    self.writer = None;
                    dropped.disk += 1;
                    return dropped;
                }
            }
        }
    }

    /// The oldest record; stays until [`Self::pop`].
    pub fn front(&mut self) -> Option<&[u8]> {
        while self.front.is_none() {
            let segment = self.segments.front()?;
            match read_record(&segment.path, self.read_offset) {
                Ok(Some(record)) => self.front = Some(record),
                Ok(None) | Err(_) => {
                    self.drop_oldest();
                }
            }
        }
        self.front.as_deref()
    }

    /// Removes the oldest record.
    pub fn pop(&mut self) {
        let Some(record) = self.front.take() else { return };
        self.read_offset += (record.len() + RECORD_HEADER) as u64;
        if let Some(segment) = self.segments.front_mut() {
            segment.records = segment.records.saturating_sub(1);
            if segment.records == 0 {
                self.drop_oldest();
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let is_full = self
            .segments
            .back()
            .is_none_or(|segment| segment.bytes >= SEGMENT_BYTES.min(self.most_bytes / 4));
        if is_full || self.writer.is_none() {
            self.start_segment()?;
        }
        let (Some(writer), Some(segment)) = (self.writer.as_mut(), self.segments.back_mut()) else {
            return Ok(());
        };
        let length = u32::try_from(record.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let mut framed = Vec::with_capacity(record.len() + RECORD_HEADER);
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        framed.extend_from_slice(record);
        writer.write_all(&framed)?;
        segment.bytes += framed.len() as u64;
        segment.records += 1;
        Ok(())
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let path = self.folder.join(format!("{:020}.seg", self.next_number));
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        self.next_number += 1;
        self.writer = Some(file);
        self.segments.push_back(Segment {
            path,
            bytes: 0,
            records: 0,
        });
        Ok(())
    }

    /// Removes the oldest segment; returns how many unread records it held.
    fn drop_oldest(&mut self) -> u64 {
        let Some(segment) = self.segments.pop_front() else {
            return 0;
        };
        if self.segments.is_empty() {
            self.writer = None;
        }
        self.read_offset = 0;
        self.front = None;
        if let Err(error) = fs::remove_file(&segment.path) {
            tracing::warn!(error = %error, path = %segment.path.display(), "spool segment cannot be removed");
        }
        segment.records
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Counts the whole records of a segment that an earlier run left.
fn recover(path: PathBuf) -> Option<Segment> {
    let (mut offset, mut records) = (0, 0);
    while let Ok(Some(record)) = read_record(&path, offset) {
        offset += (record.len() + RECORD_HEADER) as u64;
        records += 1;
    }
    if records == 0 {
        let _ = fs::remove_file(&path);
        return None;
    }
    Some(Segment {
        path,
        bytes: offset,
        records,
    })
}

/// The record at `offset`; `None` at the end or where the file is damaged.
fn read_record(path: &Path, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut length = [0; 4];
    let mut checksum = [0; 4];
    if file
        .read_exact(&mut length)
        .and_then(|()| file.read_exact(&mut checksum))
        .is_err()
    {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length);
    if length > MOST_RECORD_BYTES {
        return Ok(None);
    }
    let mut record = vec![0; length as usize];
    if file.read_exact(&mut record).is_err() || crc32fast::hash(&record) != u32::from_le_bytes(checksum) {
        return Ok(None);
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(spool: &mut Spool) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some(record) = spool.front() {
            records.push(record.to_vec());
            spool.pop();
        }
        records
    }

    fn numbers(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
        range.map(|number| number.to_le_bytes().repeat(100)).collect()
    }

    #[test]
    fn records_come_back_in_order_and_survive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for record in numbers(0..10) {
            assert_eq!(spool.append(&record), Dropped::default());
        }
        spool.front();
        spool.pop();
        drop(spool);
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.append(&numbers(10..11)[0]);
        assert_eq!(
            spool.len(),
            11,
            "what was sent is sent again after a crash; its id makes that harmless"
        );
        assert_eq!(drain(&mut spool), numbers(0..11));
        assert!(spool.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn when_it_is_full_the_oldest_make_room_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 10_000).unwrap();
        let dropped: u64 = numbers(0..100)
            .iter()
            .map(|record| spool.append(record).full)
            .sum();
        let kept = drain(&mut spool);
        assert_eq!(dropped + kept.len() as u64, 100);
        assert!(dropped > 0 && kept.last() == numbers(99..100).last());
    }

    #[test]
    fn a_damaged_end_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for record in numbers(0..3) {
            spool.append(&record);
        }
        let path = spool.segments[0].path.clone();
        drop(spool);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(
            drain(&mut Spool::open(folder.path(), 1 << 20).unwrap()),
            numbers(0..2)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_the_record_not_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        fs::remove_dir(folder.path()).unwrap();
        assert_eq!(spool.append(b"x"), Dropped { full: 0, disk: 1 });
        fs::create_dir(folder.path()).unwrap();
        assert_eq!(spool.append(b"y"), Dropped::default());
    }
}
