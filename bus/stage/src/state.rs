//! The envelope of a state in a checkpoint: which stage wrote it, and in which version.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// First bytes of an envelope; the states that were written without one are MessagePack maps, and none begins so.
const MAGIC: &[u8] = b"TAPIO\x01";
/// Version of a state without an envelope.
const UNVERSIONED: u32 = 0;

/// A state and its version.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    stage: String,
    /// Version of the stage's state.
    pub version: u32,
    /// The state.
    pub state: Bytes,
}

/// Puts a state of `stage` into its envelope.
///
/// # Errors
/// A description of why it cannot be encoded.
pub fn wrap(stage: &str, version: u32, body: &[u8]) -> Result<Vec<u8>, String> {
    let stored = Stored {
        stage: stage.to_owned(),
        version,
        state: Bytes::copy_from_slice(body),
    };
    let mut bytes = Vec::with_capacity(MAGIC.len() + body.len() + stage.len() + 32);
    bytes.extend_from_slice(MAGIC);
    rmp_serde::encode::write_named(&mut bytes, &stored).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Takes a state of `stage` out of its envelope.
///
/// # Errors
/// A description of why it is none of this stage.
pub fn open(bytes: &[u8], stage: &str) -> Result<Stored, String> {
    let Some(envelope) = bytes.strip_prefix(MAGIC) else {
        return Ok(Stored {
            stage: stage.to_owned(),
            version: UNVERSIONED,
            state: Bytes::copy_from_slice(bytes),
        });
    };
    let stored: Stored = rmp_serde::from_slice(envelope).map_err(|error| error.to_string())?;
    if stored.stage != stage {
        return Err(format!("it is a state of {}", stored.stage));
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_version_and_one_without_has_version_0() {
        let wrapped = wrap("fold", 3, b"state").unwrap();
        let stored = open(&wrapped, "fold").unwrap();
        assert_eq!((stored.version, &*stored.state), (3, &b"state"[..]));
        let bare = rmp_serde::to_vec_named(&stored).unwrap();
        let stored = open(&bare, "fold").unwrap();
        assert_eq!((stored.version, &*stored.state), (0, bare.as_slice()));
    }

    #[test]
    fn a_state_of_another_stage_or_cut_short_is_refused() {
        let wrapped = wrap("fold", 3, b"state").unwrap();
        assert!(open(&wrapped, "explain").unwrap_err().contains("fold"));
        assert!(open(&wrapped[..wrapped.len() - 1], "fold").is_err());
    }
}
