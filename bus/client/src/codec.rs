//! Batches as payloads: MessagePack, compressed by zstd level 1 with a dictionary of what every batch says anyway.

use std::sync::LazyLock;

use bus_schema::batch::{self, DecodeError, EncodeError};
use bus_schema::{Batch, Event, Header};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// Made by `examples/dictionary.rs`. It halves a heartbeat and what a small node sends in a second. What was compressed with
/// it needs it, so it never changes; another one would stand beside it, and frames say which of them they need.
const DICTIONARY: &[u8] = include_bytes!("codec/1.dictionary");
/// Level 1 costs about 0.4 µs per event and shrinks batches three- to sixfold.
const LEVEL: i32 = 1;
static PACKING: LazyLock<EncoderDictionary<'_>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static UNPACKING: LazyLock<DecoderDictionary<'_>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));
/// First bytes of a zstd frame; no MessagePack map begins so.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A payload may not unpack to more: a small hostile message must not take the reader's memory.
const MOST_UNPACKED_BYTES: usize = 8 * 1024 * 1024;

/// Why a batch could not become a payload.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It could not be compressed.
    #[error("batch could not be compressed")]
    Compress(#[source] std::io::Error),
}

/// Why a payload is no batch.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It could not be uncompressed, or would unpack to too much.
    #[error("payload could not be uncompressed within {MOST_UNPACKED_BYTES} bytes")]
    Uncompress(#[source] std::io::Error),
    /// It is not a batch of this version.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Packs and unpacks, keeping its buffers and compression contexts.
pub struct Codec {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec").finish_non_exhaustive()
    }
}

impl Codec {
    /// Empty buffers, fresh contexts.
    ///
    /// # Errors
    /// When zstd cannot allocate its contexts.
    pub fn new() -> std::io::Result<Self> {
        let (compressor, decompressor) = (
            zstd::bulk::Compressor::with_prepared_dictionary(&PACKING)?,
            zstd::bulk::Decompressor::with_prepared_dictionary(&UNPACKING)?,
        );
        Ok(Self {
            compressor,
            decompressor,
            plain: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Header and events as a payload.
    pub fn pack(&mut self, header: &Header, events: &[Event]) -> Result<Vec<u8>, PackError> {
        self.plain.clear();
        batch::encode_events(header, events, &mut self.plain)?;
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        let compressed = self.compressor.compress_to_buffer(&self.plain, &mut self.packed);
        compressed.map_err(PackError::Compress)?;
        // A copy of its own size: the bound for compression is many times that.
        Ok(self.packed.as_slice().to_owned())
    }

    /// A payload as a batch.
    pub fn unpack(&mut self, payload: &[u8]) -> Result<Batch, UnpackError> {
        if !payload.starts_with(&ZSTD_MAGIC) {
            return Ok(Batch::decode(payload)?);
        }
        self.uncompress(payload).map_err(UnpackError::Uncompress)?;
        Ok(Batch::decode(&self.plain)?)
    }

    /// A frame that needs no dictionary is read as well: ours begins with zstd's own first offsets.
    fn uncompress(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.plain.clear();
        self.plain.reserve(unpacked_size(frame));
        self.decompressor.decompress_to_buffer(frame, &mut self.plain)?;
        Ok(())
    }
}

/// What a frame says of its size, within the bound; the bound where it says nothing.
fn unpacked_size(frame: &[u8]) -> usize {
    let said = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    said.and_then(|size| usize::try_from(size).ok())
        .unwrap_or(MOST_UNPACKED_BYTES)
        .min(MOST_UNPACKED_BYTES)
}

/// A payload as plain MessagePack (or whatever else it holds), for tools that show it.
///
/// # Errors
/// When a compressed payload is damaged, unpacks to too much or needs a dictionary of a later version.
pub fn plain(payload: &[u8]) -> std::io::Result<Vec<u8>> {
    if !payload.starts_with(&ZSTD_MAGIC) {
        return Ok(payload.to_vec());
    }
    let mut codec = Codec::new()?;
    codec.uncompress(payload)?;
    Ok(codec.plain)
}

#[cfg(test)]
mod tests {
    use bus_schema::event::node::Loss;
    use bus_schema::event::{Body, Event};
    use bus_schema::{Entity, EventId, SCHEMA_VERSION, Severity};

    use super::*;

    fn events(count: u64) -> Vec<Event> {
        let event = |number| Event {
            id: EventId(u128::from(number)),
            time_ns: number,
            observed_ns: number,
            severity: Severity::Info,
            subject: Entity::of_node("n"),
            object: None,
            count: 1,
            window_ns: 0,
            trace: None,
            body: Body::Loss(Loss::default()),
        };
        (0..count).map(event).collect()
    }

    fn header() -> Header {
        Header {
            schema: SCHEMA_VERSION,
            ..Header::default()
        }
    }

    /// A heartbeat's frame, whose dictionary's number (bytes 5 to 8, RFC 8878) is replaced by `dictionary`.
    fn heartbeat(dictionary: [u8; 4]) -> Vec<u8> {
        let mut payload = Codec::new().unwrap().pack(&header(), &[]).unwrap();
        payload[5..9].copy_from_slice(&dictionary);
        payload
    }

    #[test]
    fn small_and_large_batches_become_smaller_and_come_back_as_they_were() {
        let mut codec = Codec::new().unwrap();
        for count in [0, 1, 256] {
            let mut plain = Vec::new();
            batch::encode_events(&header(), &events(count), &mut plain).unwrap();
            let payload = codec.pack(&header(), &events(count)).unwrap();
            assert!(
                payload.len() * 2 < plain.len(),
                "{} of {}",
                payload.len(),
                plain.len()
            );
            assert_eq!(super::plain(&payload).unwrap(), plain);
            let packed_by_others = zstd::bulk::compress(&plain, 19).unwrap();
            for payload in [payload, packed_by_others, plain] {
                assert_eq!(codec.unpack(&payload).unwrap().events, events(count));
            }
        }
    }

    #[test]
    fn whatever_comes_is_refused_or_survives_being_sent_on() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let mut codec = Codec::new().unwrap();
            if let Ok(batch) = codec.unpack(bytes) {
                let again = codec.pack(&batch.header, &batch.events).unwrap();
                assert_eq!(codec.unpack(&again).unwrap().events, batch.events);
            }
        });
    }

    #[test]
    fn a_frame_without_a_dictionary_is_read_as_well() {
        for period in 1..=8_u8 {
            let repeats: Vec<u8> = (0..period).cycle().take(1000).collect();
            let frame = zstd::bulk::compress(&repeats, 19).unwrap();
            assert_eq!(plain(&frame).unwrap(), repeats);
        }
    }

    #[test]
    fn a_frame_says_which_dictionary_it_needs_and_one_of_a_later_version_is_an_error() {
        let ours = zstd::zstd_safe::get_dict_id_from_dict(DICTIONARY).unwrap().get();
        let mut codec = Codec::new().unwrap();
        assert_eq!(codec.unpack(&heartbeat(ours.to_le_bytes())).unwrap().events, []);
        let later = codec.unpack(&heartbeat((ours + 1).to_le_bytes()));
        assert!(matches!(later, Err(UnpackError::Uncompress(_))));
    }

    #[test]
    fn the_dictionary_is_that_with_which_streams_and_spools_were_written() {
        assert_eq!(
            (DICTIONARY.len(), crc32fast::hash(DICTIONARY)),
            (8192, 0x9be8_187b)
        );
    }

    #[test]
    fn a_bomb_and_a_damaged_frame_are_errors() {
        let mut codec = Codec::new().unwrap();
        let bomb = zstd::bulk::compress(&vec![0; MOST_UNPACKED_BYTES + 1], 19).unwrap();
        assert!(matches!(codec.unpack(&bomb), Err(UnpackError::Uncompress(_))));
        assert!(matches!(
            codec.unpack(&ZSTD_MAGIC),
            Err(UnpackError::Uncompress(_))
        ));
        assert!(matches!(codec.unpack(b"x"), Err(UnpackError::Decode(_))));
    }
}
