//! Header blocks as one direction of a connection sends them (HPACK, RFC 7541), as far as exchanges need them: of few headers
//! a value is kept, of the others their lengths alone, so that no credential ever is.
//!
//! Of the crates that decode it two panic on blocks that end too early, and one makes its table anew for each string.

mod huffman;
mod names;

use std::collections::VecDeque;

pub(crate) use names::Name;

/// Most bytes of the dynamic table. An encoder needs leave for more than 4096, which hardly anybody gives.
const MOST_TABLE_BYTES: usize = 16 << 10;
/// What a connection begins with (RFC 9113, 6.5.2).
const FIRST_TABLE_BYTES: usize = 4096;
/// What an entry takes besides its name and value (RFC 7541, 4.1).
const ENTRY_BYTES: usize = 32;
/// Bytes of a value that are kept.
const VALUE_BYTES: usize = 160;
/// Headers in a block. By two bytes each, a small block can name one large entry thousands of times.
const MOST_HEADERS: usize = 1024;
/// Longest integer: beyond this nothing means anything here.
const MOST_SHIFT: u32 = 28;

/// Why a block cannot be decoded. What follows it cannot be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// It ends within a header.
    #[error("block ends too early")]
    Short,
    /// An index behind the end of the table.
    #[error("no such header in the table")]
    Index,
    /// An integer, a table or a block larger than anybody needs.
    #[error("larger than allowed")]
    Large,
    /// No Huffman code.
    #[error("no Huffman code")]
    Code,
}

/// A header: what is looked at of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    name_bytes: usize,
    /// Cut; empty where nobody looks at it.
    value: Box<[u8]>,
    /// As the table counts it.
    size: usize,
}

/// The dynamic table of one direction.
#[derive(Debug)]
pub(crate) struct Decoder {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            most: FIRST_TABLE_BYTES,
        }
    }
}

impl Decoder {
    /// Memory of the table, bytes, but for the values, which are bounded by what the table counts.
    pub(crate) fn kept(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.size
    }

    /// Decodes a whole block, and hands each header that is looked at to `take`.
    pub(crate) fn decode(&mut self, block: &[u8], mut take: impl FnMut(Name, &[u8])) -> Result<(), Error> {
        let (mut input, mut text) = (Input(block), Vec::new());
        for _ in 0..MOST_HEADERS {
            let Some(first) = input.peek() else { return Ok(()) };
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                self.hand_over(index, &mut take)?;
            } else if first & 0xc0 == 0x40 {
                let entry = self.literal(&mut input, 6, &mut text)?;
                take_known(&entry, &mut take);
                self.insert(entry);
            } else if first & 0xe0 == 0x20 {
                self.resize(input.integer(5)?)?;
            } else {
                let entry = self.literal(&mut input, 4, &mut text)?;
                take_known(&entry, &mut take);
            }
        }
        if input.peek().is_some() {
            Err(Error::Large)
        } else {
            Ok(())
        }
    }

    fn hand_over(&self, index: usize, take: &mut impl FnMut(Name, &[u8])) -> Result<(), Error> {
        if let Some((name, value)) = names::of_static(index) {
            let name = Name::of(name);
            if name != Name::Other {
                take(name, value);
            }
            return Ok(());
        }
        take_known(self.dynamic(index)?, take);
        Ok(())
    }

    fn dynamic(&self, index: usize) -> Result<&Entry, Error> {
        let at = index.checked_sub(names::STATIC + 1).ok_or(Error::Index)?;
        self.entries.get(at).ok_or(Error::Index)
    }

    /// A header with a value of its own, its name told by an index of so many bits, or by itself.
    fn literal(&self, input: &mut Input<'_>, bits: u32, text: &mut Vec<u8>) -> Result<Entry, Error> {
        let (name, name_bytes) = match input.integer(bits)? {
            0 => {
                let name = input.string(text)?;
                (Name::of(name), name.len())
            }
            index => self.name_at(index)?,
        };
        let value = input.string(text)?;
        let kept = if name == Name::Other {
            &[]
        } else {
            value.get(..VALUE_BYTES).unwrap_or(value)
        };
        Ok(Entry {
            name,
            name_bytes,
            value: kept.into(),
            size: name_bytes + value.len() + ENTRY_BYTES,
        })
    }

    fn name_at(&self, index: usize) -> Result<(Name, usize), Error> {
        if let Some((name, _)) = names::of_static(index) {
            return Ok((Name::of(name), name.len()));
        }
        let known = self.dynamic(index)?;
        Ok((known.name, known.name_bytes))
    }

    /// One that is larger than the table empties it, and is not in it.
    fn insert(&mut self, entry: Entry) {
        self.size += entry.size;
        self.entries.push_front(entry);
        self.evict();
    }

    fn resize(&mut self, most: usize) -> Result<(), Error> {
        if most > MOST_TABLE_BYTES {
            return Err(Error::Large);
        }
        self.most = most;
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        while self.size > self.most {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.size;
        }
    }
}

fn take_known(entry: &Entry, take: &mut impl FnMut(Name, &[u8])) {
    if entry.name != Name::Other {
        take(entry.name, &entry.value);
    }
}

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer that begins in the last `bits` of the next byte (RFC 7541, 5.1).
    fn integer(&mut self, bits: u32) -> Result<usize, Error> {
        let most = (1 << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift > MOST_SHIFT - 7 {
                return Err(Error::Large);
            }
        }
    }

    /// A string as it lies there, or written out to `text` (RFC 7541, 5.2).
    fn string<'b>(&mut self, text: &'b mut Vec<u8>) -> Result<&'b [u8], Error>
    where
        'a: 'b,
    {
        let is_coded = self.peek().ok_or(Error::Short)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Error::Short)?;
        self.0 = rest;
        if !is_coded {
            return Ok(string);
        }
        text.clear();
        huffman::decode(string, text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
