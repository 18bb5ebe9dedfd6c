//! The keys and values, bounded by what they take together.

use std::collections::HashMap;

use bytes::Bytes;

/// A map that refuses what does not fit.
#[derive(Debug)]
pub struct Store {
    values: HashMap<Box<[u8]>, Bytes>,
    bytes: usize,
    capacity: usize,
}

impl Store {
    /// An empty store for `capacity` bytes of keys and values.
    pub fn new(capacity: usize) -> Self {
        Self {
            values: HashMap::new(),
            bytes: 0,
            capacity,
        }
    }

    /// Puts `item:0`, `item:1`, … in, each of `value_size` bytes; false when they do not fit.
    pub fn fill(&mut self, keys: u32, value_size: usize) -> bool {
        (0..keys).all(|key| self.set(format!("item:{key}").as_bytes(), vec![b'v'; value_size]))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.values.get(key).cloned()
    }

    /// Puts a value in the place of the one before; false, and nothing changed, when it does not fit.
    pub fn set(&mut self, key: &[u8], value: Vec<u8>) -> bool {
        let before = self.values.get(key).map_or(0, |old| key.len() + old.len());
        let after = self.bytes - before + key.len() + value.len();
        if after > self.capacity {
            return false;
        }
        self.bytes = after;
        self.values.insert(key.into(), value.into());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_not_fit_leaves_the_old_one() {
        let mut store = Store::new(10);
        assert!(store.set(b"key", b"1234567".to_vec()));
        assert!(!store.set(b"key", b"12345678".to_vec()));
        assert_eq!(store.get(b"key").unwrap().as_ref(), b"1234567");
    }

    #[test]
    fn a_value_that_is_replaced_gives_its_room_back() {
        let mut store = Store::new(10);
        assert!(store.set(b"key", b"1234567".to_vec()));
        assert!(store.set(b"key", b"1".to_vec()));
        assert!(store.set(b"b", b"12345".to_vec()));
    }
}
