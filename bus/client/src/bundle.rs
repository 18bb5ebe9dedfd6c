//! Messages of the bus in one file, to be replayed elsewhere: zstd over MessagePack, a [`Head`], [`Recorded`]s, and nil at the end.
//!
//! Payloads are written uncompressed, so that what one message repeats of others costs nothing. A file that was cut off is read
//! up to there and then an error.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bus_schema::batch::EncodeError;
use bus_schema::{Batch, SCHEMA_VERSION};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Codec};
use crate::reader::Incoming;

/// Small files count for more than the time to write one: a minute of a small cluster takes a second.
const LEVEL: i32 = 19;
/// Batches repeat what was said minutes before: 2^25 bytes.
const WINDOW_LOG: u32 = 25;
/// The first field of the first record, by which a file is recognised.
const FORMAT: &str = "tapio-bundle";

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Always the same.
    format: String,
    /// [`SCHEMA_VERSION`] of the recorder.
    pub schema: u16,
    /// Number of enriched partitions of that bus.
    pub partitions: u16,
}

impl Head {
    /// A recording of a bus with so many enriched partitions.
    pub fn new(partitions: u16) -> Self {
        Self {
            format: FORMAT.to_owned(),
            schema: SCHEMA_VERSION,
            partitions,
        }
    }
}

/// A message as it stood in its stream, its payload uncompressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Name of the stream.
    pub stream: String,
    /// Sequence in it.
    pub sequence: u64,
    /// When the server stored it, UNIX ns.
    pub stored_ns: u64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
}

impl Recorded {
    /// A message of `stream`.
    ///
    /// # Errors
    /// When its payload cannot be uncompressed.
    pub fn new(stream: &str, message: &Incoming) -> io::Result<Self> {
        Ok(Self {
            stream: stream.to_owned(),
            sequence: message.sequence,
            stored_ns: message.stored_ns,
            subject: message.subject.clone(),
            payload: codec::plain(&message.payload)?.into(),
        })
    }

    /// With another batch in it; as it is, where it holds none.
    ///
    /// # Errors
    /// When the batch cannot be encoded again.
    pub fn edit(self, codec: &mut Codec, edit: impl FnOnce(&mut Batch)) -> Result<Self, EncodeError> {
        let Ok(mut batch) = codec.unpack(&self.payload) else {
            return Ok(self);
        };
        edit(&mut batch);
        let mut payload = Vec::new();
        batch.encode(&mut payload)?;
        Ok(Self {
            payload: payload.into(),
            ..self
        })
    }

    /// As a reader of the stream would have handed it out.
    pub fn into_incoming(self) -> Incoming {
        Incoming {
            sequence: self.sequence,
            stored_ns: self.stored_ns,
            pending: 0,
            subject: self.subject,
            payload: self.payload,
        }
    }
}

/// Why a file is no bundle, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("the bundle cannot be read")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("this is no bundle of `tapio record`")]
    Foreign,
    /// Its schema is newer than this reader.
    #[error("the bundle has schema {found}, this version reads up to {SCHEMA_VERSION}")]
    NewerSchema {
        /// The recorder's schema.
        found: u16,
    },
    /// It ends in the middle, or is damaged.
    #[error("the bundle is damaged or cut off after {after} messages")]
    Damaged {
        /// How many could be read.
        after: u64,
        /// What is wrong.
        #[source]
        source: rmp_serde::decode::Error,
    },
}

/// Writes a bundle.
pub struct Writer<W: Write>(zstd::Encoder<'static, BufWriter<W>>);

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Writer").finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// When the file takes nothing.
    pub fn new(file: W, head: &Head) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        encoder.window_log(WINDOW_LOG)?;
        let mut writer = Self(encoder);
        writer.put(head)?;
        Ok(writer)
    }

    /// The next message.
    ///
    /// # Errors
    /// When the file takes nothing.
    pub fn write(&mut self, message: &Recorded) -> io::Result<()> {
        self.put(&Some(message))
    }

    fn put(&mut self, record: &impl Serialize) -> io::Result<()> {
        rmp_serde::encode::write(&mut self.0, record).map_err(io::Error::other)
    }

    /// Ends the bundle; without it the file is cut off. Gives the file back.
    ///
    /// # Errors
    /// When the file takes nothing.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(&None::<Recorded>)?;
        self.0
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }
}

/// Reads a bundle, one message after the other.
pub struct Bundle<R: Read> {
    /// What it says of itself.
    pub head: Head,
    records: rmp_serde::Deserializer<rmp_serde::decode::ReadReader<Decoder<R>>>,
    read: u64,
    is_over: bool,
}

type Decoder<R> = zstd::Decoder<'static, BufReader<R>>;

impl<R: Read> std::fmt::Debug for Bundle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Bundle<R> {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`ReadError`] when it is none.
    pub fn open(file: R) -> Result<Self, ReadError> {
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        let mut records = rmp_serde::Deserializer::new(decoder);
        let head = Head::deserialize(&mut records).map_err(|_| ReadError::Foreign)?;
        if head.format != FORMAT {
            return Err(ReadError::Foreign);
        }
        if head.schema > SCHEMA_VERSION {
            return Err(ReadError::NewerSchema { found: head.schema });
        }
        Ok(Self {
            head,
            records,
            read: 0,
            is_over: false,
        })
    }
}

impl<R: Read> Iterator for Bundle<R> {
    type Item = Result<Recorded, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match Option::<Recorded>::deserialize(&mut self.records) {
            Ok(Some(message)) => {
                self.read += 1;
                Some(Ok(message))
            }
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(source) => {
                self.is_over = true;
                let after = self.read;
                Some(Err(ReadError::Damaged { after, source }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(sequence: u64) -> Recorded {
        Recorded {
            stream: "S".into(),
            sequence,
            stored_ns: sequence,
            subject: "a.b".into(),
            payload: vec![7; 100].into(),
        }
    }

    fn bundle(messages: u64) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &Head::new(2)).unwrap();
        (0..messages).for_each(|sequence| writer.write(&recorded(sequence)).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_recorded_is_read_again() {
        let file = bundle(1000);
        assert!(file.len() < 20_000, "{}", file.len());
        let read = Bundle::open(&*file).unwrap();
        assert_eq!(read.head, Head::new(2));
        let read: Vec<_> = read.map(Result::unwrap).collect();
        assert_eq!(read, (0..1000).map(recorded).collect::<Vec<_>>());
    }

    #[test]
    fn a_bundle_that_was_cut_off_says_after_how_much() {
        let mut writer = Writer::new(Vec::new(), &Head::new(1)).unwrap();
        writer.write(&recorded(1)).unwrap();
        let file = writer.0.finish().unwrap().into_inner().unwrap();
        let mut read = Bundle::open(&*file).unwrap();
        assert_eq!(read.next().unwrap().unwrap(), recorded(1));
        assert!(matches!(
            read.next(),
            Some(Err(ReadError::Damaged { after: 1, .. }))
        ));
        assert!(read.next().is_none());
        let whole = bundle(9);
        let half = whole.get(..whole.len() / 2).unwrap();
        let read = Bundle::open(half).map(|read| read.filter(Result::is_err).count());
        assert!(!matches!(read, Ok(0)));
    }

    #[test]
    fn other_files_are_no_bundles() {
        for file in [
            &b""[..],
            b"{}",
            &zstd::bulk::compress(b"something else", 1).unwrap(),
        ] {
            assert!(Bundle::open(file).is_err());
        }
        let newer = Head {
            schema: SCHEMA_VERSION + 1,
            ..Head::new(1)
        };
        let file = Writer::new(Vec::new(), &newer).unwrap().finish().unwrap();
        assert!(matches!(Bundle::open(&*file), Err(ReadError::NewerSchema { .. })));
    }
}
