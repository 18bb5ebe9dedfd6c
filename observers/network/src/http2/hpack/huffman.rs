//! The Huffman code of strings (RFC 7541, appendix B). It is canonical: its codes follow from how long they are, in the order
//! of their length, and of their symbols where these are as long.

use super::Error;

const SYMBOLS: usize = LENGTHS.len();
/// Bits of the longest code.
const LONGEST: usize = 30;
/// Bits that may fill the last byte.
const MOST_FILLING: usize = 7;

/// Codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    /// The first.
    first: u32,
    /// How many.
    count: u32,
    /// Where their symbols begin in [`Table::symbols`].
    at: usize,
}

struct Table {
    by_length: [Codes; LONGEST + 1],
    /// In the order of their codes.
    symbols: [u16; SYMBOLS],
}

const TABLE: Table = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "worked out by the compiler, which refuses what does not fit"
)]
const fn table() -> Table {
    let none = Codes {
        first: 0,
        count: 0,
        at: 0,
    };
    let mut table = Table {
        by_length: [none; LONGEST + 1],
        symbols: [0; SYMBOLS],
    };
    let (mut code, mut at, mut length) = (0, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        table.by_length[length] = Codes {
            first: code,
            count: 0,
            at,
        };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                table.symbols[at] = symbol as u16;
                table.by_length[length].count += 1;
                at += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    table
}

/// Writes a string out to the end of `text`.
pub(super) fn decode(string: &[u8], text: &mut Vec<u8>) -> Result<(), Error> {
    let (mut code, mut length) = (0_u32, 0);
    for byte in string {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            length += 1;
            if let Some(symbol) = symbol(code, length)? {
                // The end itself is no part of a string.
                text.push(u8::try_from(symbol).map_err(|_| Error::Code)?);
                (code, length) = (0, 0);
            }
        }
    }
    let is_filled = length <= MOST_FILLING && code == (1 << length) - 1;
    if is_filled { Ok(()) } else { Err(Error::Code) }
}

/// The symbol of a code, if it is one already.
fn symbol(code: u32, length: usize) -> Result<Option<u16>, Error> {
    let codes = TABLE.by_length.get(length).ok_or(Error::Code)?;
    let Some(number) = code
        .checked_sub(codes.first)
        .filter(|number| *number < codes.count)
    else {
        return Ok(None);
    };
    Ok(TABLE.symbols.get(codes.at + number as usize).copied())
}

/// Bits of the code of each symbol, the end's last.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
