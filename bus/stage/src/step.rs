//! A clock that was set: what is remembered by the old one is told by the new one.

use rmp::Marker;
use serde::Serialize;
use serde::de::DeserializeOwned;

const SECOND_NS: u64 = 1_000_000_000;
/// Times this close to the new one were told by the clock as it is now.
const JUST_NOW_NS: u64 = 2 * SECOND_NS;
/// What is further away is no time of anything that is remembered, but another number.
const LIFETIME_NS: u64 = 10 * 365 * 24 * 3600 * SECOND_NS;

/// Event time that went back, both UNIX ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How far it had come.
    pub before_ns: u64,
    /// What it is now.
    pub now_ns: u64,
}

impl Step {
    /// Moves all times in `state` by as much as the clock was moved, so that what happened a minute ago still did. Times are
    /// known by their size: numbers of 64 bits that are UNIX ns of these years. A
    /// [`Watermark`](crate::watermark::Watermark) in it is put right by the next message. A state that cannot be written down stays
    /// as it is, and is complained of.
    pub fn move_times<T: Serialize + DeserializeOwned>(self, state: &mut T) {
        match self.moved(state) {
            Ok(moved) => *state = moved,
            Err(error) => tracing::error!(error, "a clock was set back, and what is known has wrong times"),
        }
    }

    fn moved<T: Serialize + DeserializeOwned>(self, state: &T) -> Result<T, String> {
        let mut bytes = rmp_serde::to_vec_named(state).map_err(|error| error.to_string())?;
        self.move_all(&mut bytes).ok_or("it is cut off")?;
        rmp_serde::from_slice(&bytes).map_err(|error| error.to_string())
    }

    /// Goes through MessagePack, token by token; `None` where it ends within one.
    fn move_all(self, mut bytes: &mut [u8]) -> Option<()> {
        while let Some((first, rest)) = std::mem::take(&mut bytes).split_first_mut() {
            let marker = Marker::from_u8(*first);
            let length = length(marker, rest)?;
            let (token, rest) = rest.split_at_mut_checked(length)?;
            if marker == Marker::U64 {
                let time_ns = u64::from_be_bytes((&*token).try_into().ok()?);
                token.copy_from_slice(&self.move_one(time_ns).to_be_bytes());
            }
            bytes = rest;
        }
        Some(())
    }

    fn move_one(self, number: u64) -> u64 {
        let is_time = number.abs_diff(self.before_ns) < LIFETIME_NS;
        if is_time && number.abs_diff(self.now_ns) > JUST_NOW_NS {
            number.saturating_add_signed(self.now_ns.cast_signed() - self.before_ns.cast_signed())
        } else {
            number
        }
    }
}

/// How many bytes of a token follow its marker; arrays and maps are followed by tokens.
fn length(marker: Marker, rest: &[u8]) -> Option<usize> {
    let counted = |width: usize| {
        let count = rest
            .get(..width)?
            .iter()
            .fold(0, |count, byte| count << 8 | usize::from(*byte));
        Some(width + count)
    };
    Some(match marker {
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::FixMap(_)
        | Marker::FixArray(_)
        | Marker::Null
        | Marker::True
        | Marker::False
        | Marker::Reserved => 0,
        Marker::U8 | Marker::I8 => 1,
        Marker::U16 | Marker::I16 | Marker::Array16 | Marker::Map16 | Marker::FixExt1 => 2,
        Marker::U32 | Marker::I32 | Marker::F32 | Marker::Array32 | Marker::Map32 => 4,
        Marker::U64 | Marker::I64 | Marker::F64 => 8,
        Marker::FixStr(count) => usize::from(count),
        Marker::Str8 | Marker::Bin8 => counted(1)?,
        Marker::Str16 | Marker::Bin16 => counted(2)?,
        Marker::Str32 | Marker::Bin32 => counted(4)?,
        Marker::FixExt2 => 3,
        Marker::FixExt4 => 5,
        Marker::FixExt8 => 9,
        Marker::FixExt16 => 17,
        Marker::Ext8 => counted(1)? + 1,
        Marker::Ext16 => counted(2)? + 1,
        Marker::Ext32 => counted(4)? + 1,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bus_schema::EventId;
    use serde::Deserialize;

    use super::*;

    const NOW_NS: u64 = 1_700_000_000 * SECOND_NS;
    const BACK: Step = Step {
        before_ns: NOW_NS,
        now_ns: NOW_NS - 600 * SECOND_NS,
    };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct State {
        times: BTreeMap<u64, Option<u64>>,
        numbers: (i64, f64, u64, u32, bool),
        id: EventId,
        text: Vec<String>,
    }

    fn state(first_ns: u64, last_ns: u64) -> State {
        State {
            times: BTreeMap::from([(first_ns, Some(last_ns)), (7, None)]),
            numbers: (-3, 0.5, u64::MAX, 1_700_000_000, true),
            id: EventId::of_parts(NOW_NS, &["a"]),
            text: ["\u{cf}".repeat(40), "cf".repeat(20_000), String::new()].into(),
        }
    }

    #[test]
    fn times_move_with_the_clock_and_nothing_else_does() {
        let mut moved = state(NOW_NS - 30 * SECOND_NS, NOW_NS);
        BACK.move_times(&mut moved);
        assert_eq!(moved, state(NOW_NS - 630 * SECOND_NS, NOW_NS - 600 * SECOND_NS));
    }

    #[test]
    fn what_was_told_by_the_new_clock_stays() {
        let told_ns = BACK.now_ns - SECOND_NS;
        let mut moved = state(told_ns, BACK.now_ns + SECOND_NS);
        BACK.move_times(&mut moved);
        assert_eq!(moved, state(told_ns, BACK.now_ns + SECOND_NS));
    }

    #[test]
    fn bytes_that_end_within_a_token_are_refused() {
        let bytes = rmp_serde::to_vec_named(&state(NOW_NS, NOW_NS)).unwrap();
        for end in 1..bytes.len().min(200) {
            let mut part = bytes.get(..end).unwrap().to_vec();
            BACK.move_all(&mut part);
        }
        let mut short = vec![0xcf, 1, 2];
        assert_eq!(BACK.move_all(&mut short), None);
    }
}
