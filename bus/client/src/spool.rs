//! A bounded queue on disk: what could not be sent, oldest first.
//!
//! Segment files of records, each with its length and checksum. Nothing is synced: the queue survives the process, not the
//! power. A damaged end is where the last run was killed; everything before it counts.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::losses::Losses;

/// A segment is closed when it has grown to this; dropping the oldest frees as much.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Length, checksum and number of events.
const RECORD_HEADER: usize = 12;
/// No record is longer; a length beyond it is damage.
const MOST_RECORD_BYTES: u32 = 4 * 1024 * 1024;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    /// Events of each record that nobody has read yet.
    unread: VecDeque<u64>,
}

/// The oldest record, once it was asked for: it may be on its way, and is not lost when its segment makes room.
#[derive(Debug)]
struct Front {
    record: Vec<u8>,
    events: u64,
    is_on_disk: bool,
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
    front: Option<Front>,
    losses: Losses,
}

/// Records made room because the queue was full.
const FULL: &str = "spool_full";
/// Records made room because the disk was full, or could not be written or read.
const DISK: &str = "disk_error";

impl Spool {
    /// Opens the queue in `folder`, with what an earlier run left there. It holds at most `most_bytes`; events
    /// that it cannot keep are counted in `losses`.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, most_bytes: u64, losses: Losses) -> io::Result<Self> {
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
            losses,
        })
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.front.is_none() && self.segments.iter().all(|segment| segment.unread.is_empty())
    }

    /// Records that wait.
    pub fn len(&self) -> u64 {
        let is_only_here = self.front.as_ref().is_some_and(|front| !front.is_on_disk);
        let on_disk = self.segments.iter().map(|segment| segment.unread.len() as u64);
        on_disk.sum::<u64>() + u64::from(is_only_here)
    }

    /// Appends a record of so many events, dropping the oldest segments while the queue or the disk is full.
    pub fn append(&mut self, record: &[u8], events: u64) {
        let bytes = (record.len() + RECORD_HEADER) as u64;
        while self.bytes() + bytes > self.most_bytes && !self.segments.is_empty() {
            self.drop_oldest(FULL);
        }
        while let Err(error) = self.write(record, events) {
            self.close_segment();
            if error.kind() == ErrorKind::StorageFull && !self.segments.is_empty() {
                self.drop_oldest(DISK);
                continue;
            }
            tracing::warn!(error = %error, folder = %self.folder.display(), "spool cannot be written, event batch dropped");
            return self.losses.add(DISK, events);
        }
    }

    /// The oldest record; stays until [`Self::pop`].
    pub fn front(&mut self) -> Option<&[u8]> {
        while self.front.is_none() {
            let segment = self.segments.front()?;
            match read_record(&segment.path, self.read_offset) {
                Ok(Some((record, events))) => {
                    self.front = Some(Front {
                        record,
                        events,
                        is_on_disk: true,
                    });
                }
                Ok(None) | Err(_) => self.drop_oldest(DISK),
            }
        }
        self.front.as_ref().map(|front| front.record.as_slice())
    }

    /// Removes the oldest record.
    pub fn pop(&mut self) {
        self.remove_front();
    }

    /// Removes the oldest record, which is of no use, and counts it.
    pub fn give_up(&mut self) {
        let events = self.remove_front();
        self.losses.add(DISK, events);
    }

    /// Gives the events of the record.
    fn remove_front(&mut self) -> u64 {
        let Some(front) = self.front.take() else { return 0 };
        if front.is_on_disk
            && let Some(segment) = self.segments.front_mut()
        {
            self.read_offset += (front.record.len() + RECORD_HEADER) as u64;
            segment.unread.pop_front();
            if segment.unread.is_empty() {
                self.drop_oldest(DISK);
            }
        }
        front.events
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn write(&mut self, record: &[u8], events: u64) -> io::Result<()> {
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
        framed.extend_from_slice(&u32::try_from(events).unwrap_or(u32::MAX).to_le_bytes());
        framed.extend_from_slice(record);
        writer.write_all(&framed)?;
        segment.bytes += framed.len() as u64;
        segment.unread.push_back(events);
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
            unread: VecDeque::new(),
        });
        Ok(())
    }

    /// After a failed write. The next record begins a segment of its own; an empty one would only take room.
    fn close_segment(&mut self) {
        self.writer = None;
        if self
            .segments
            .back()
            .is_some_and(|segment| segment.unread.is_empty())
            && let Some(segment) = self.segments.pop_back()
        {
            remove(&segment.path);
        }
    }

    /// Removes the oldest segment and counts what it held unread, but for the record that was asked for.
    fn drop_oldest(&mut self, reason: &'static str) {
        let Some(segment) = self.segments.pop_front() else {
            return;
        };
        if self.segments.is_empty() {
            self.writer = None;
        }
        self.read_offset = 0;
        remove(&segment.path);
        let mut unread = segment.unread;
        if let Some(front) = self.front.as_mut().filter(|front| front.is_on_disk) {
            front.is_on_disk = false;
            unread.pop_front();
        }
        self.losses.add(reason, unread.iter().sum());
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(error = %error, path = %path.display(), "spool segment cannot be removed");
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Counts the whole records of a segment that an earlier run left.
fn recover(path: PathBuf) -> Option<Segment> {
    let (mut offset, mut unread) = (0, VecDeque::new());
    while let Ok(Some((record, events))) = read_record(&path, offset) {
        offset += (record.len() + RECORD_HEADER) as u64;
        unread.push_back(events);
    }
    if unread.is_empty() {
        let _ = fs::remove_file(&path);
        return None;
    }
    Some(Segment {
        path,
        bytes: offset,
        unread,
    })
}

/// The record at `offset` and its events; `None` at the end or where the file is damaged.
fn read_record(path: &Path, offset: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut length = [0; 4];
    let mut checksum = [0; 4];
    let mut events = [0; 4];
    if file
        .read_exact(&mut length)
        .and_then(|()| file.read_exact(&mut checksum))
        .and_then(|()| file.read_exact(&mut events))
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
    Ok(Some((record, u32::from_le_bytes(events).into())))
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
        let losses = Losses::default();
        let mut spool = Spool::open(folder.path(), 1 << 20, losses.clone()).unwrap();
        for record in numbers(0..10) {
            spool.append(&record, 1);
        }
        spool.front();
        spool.pop();
        drop(spool);
        let mut spool = Spool::open(folder.path(), 1 << 20, losses.clone()).unwrap();
        spool.append(&numbers(10..11)[0], 1);
        assert_eq!(
            spool.len(),
            11,
            "what was sent is sent again after a crash; its id makes that harmless"
        );
        assert_eq!(drain(&mut spool), numbers(0..11));
        assert!(spool.is_empty());
        assert!(losses.take().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn when_it_is_full_the_oldest_make_room_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let losses = Losses::default();
        let mut spool = Spool::open(folder.path(), 10_000, losses.clone()).unwrap();
        for record in numbers(0..100) {
            spool.append(&record, 7);
        }
        let dropped = losses.take().get(FULL).copied().unwrap_or(0);
        let kept = drain(&mut spool);
        assert_eq!(dropped + 7 * kept.len() as u64, 700);
        assert!(dropped > 0 && kept.last() == numbers(99..100).last());
    }

    #[test]
    fn the_record_that_is_on_its_way_is_not_lost_when_its_segment_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let losses = Losses::default();
        let mut spool = Spool::open(folder.path(), 10_000, losses.clone()).unwrap();
        let records = numbers(0..100);
        spool.append(&records[0], 7);
        assert_eq!(spool.front(), Some(records[0].as_slice()));
        for record in &records[1..] {
            spool.append(record, 7);
        }
        let dropped = losses.take().get(FULL).copied().unwrap_or(0);
        assert!(dropped > 0 && dropped + 7 * spool.len() == 700);
        assert_eq!(
            spool.front(),
            Some(records[0].as_slice()),
            "it may have to go again"
        );
        let kept = drain(&mut spool);
        assert_eq!(dropped + 7 * kept.len() as u64, 700);
        assert_eq!((&kept[0], kept.last()), (&records[0], records.last()));
        assert!(spool.is_empty() && losses.take().is_empty());
    }

    #[test]
    fn a_damaged_end_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, Losses::default()).unwrap();
        for record in numbers(0..3) {
            spool.append(&record, 1);
        }
        let path = spool.segments[0].path.clone();
        drop(spool);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(
            drain(&mut Spool::open(folder.path(), 1 << 20, Losses::default()).unwrap()),
            numbers(0..2)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_the_record_not_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let losses = Losses::default();
        let mut spool = Spool::open(folder.path(), 1 << 20, losses.clone()).unwrap();
        fs::remove_dir(folder.path()).unwrap();
        spool.append(b"x", 7);
        assert_eq!(losses.take().get(DISK), Some(&7));
        fs::create_dir(folder.path()).unwrap();
        spool.append(b"y", 7);
        assert!(losses.take().is_empty());
    }
}
